import type { FloatInput } from './floats.ts'
import { floatsAt, frame, intsAt } from './memory.ts'
import { wasm } from './module.ts'
import { type BlockLayout, forEachSlab } from './slabs.ts'

/** How blocks are coded; the numbers are those of `quantizeBlocks` in `assembly/blocks.ts`. */
const METHODS = { minmax: 0, mse: 1, k_quant: 2, hqq: 3, fp4: 4, nf4: 5 } as const

/** How blocks are coded. */
export interface BlockSettings {
  readonly method: keyof typeof METHODS
  readonly size: number
  readonly bits: number
  readonly symmetric: boolean
  readonly scaleType: number
  readonly steps: number
  readonly least: number
}

/** What the kernels are asked. Addresses are in the kernels' memory. */
export interface BlockWork extends BlockSettings {
  readonly scales: number
  readonly zeroPoints: number
  readonly codes: number
  /** A byte per code in the order of the tensor, instead of packed codes channel after channel. */
  readonly inPlace: boolean
}

/** Fields of `Work` in `assembly/group.ts`, in this order. */
const FIELDS = [
  'x',
  'channels',
  'length',
  'channelStride',
  'elementStride',
  'size',
  'bits',
  'symmetric',
  'scaleType',
  'method',
  'steps',
  'least',
  'scales',
  'zeroPoints',
  'codes',
  'pitch',
  'first',
  'codesStride',
  'group',
  'importance',
] as const
type Fields = Partial<Record<(typeof FIELDS)[number], number>>

/** Makes room for what the kernels are asked, with the settings in it; gives its address and a function that sets more fields. */
export function openWork(
  allocate: (byteLength: number) => number,
  { method, size, bits, symmetric, scaleType, steps, least }: BlockSettings,
): { address: number; set(fields: Fields): void } {
  const address = allocate(FIELDS.length * 4)
  intsAt(address, FIELDS.length).fill(0)
  const set = (fields: Fields): void => {
    const [ints, floats] = [intsAt(address, FIELDS.length), floatsAt(address, FIELDS.length)]
    FIELDS.forEach((name, i) => {
      const value = fields[name]
      if (value !== undefined) (name === 'least' ? floats : ints)[i] = value
    })
  }
  // the kernels gather four groups of four blocks at a time
  const [group, importance] = [allocate(size * 64), allocate(size * 16)]
  set({
    ...{ size, bits, symmetric: symmetric ? 1 : 0, scaleType, method: METHODS[method], steps, least },
    ...{ group, importance },
  })
  return { address, set }
}

/** Codes all blocks of a tensor. Results lie channel after channel. False if some value is not finite. */
export function codeBlocks(input: FloatInput, layout: BlockLayout, work: BlockWork): boolean {
  const { size } = work
  const { length, inner } = layout
  const pitch = Math.ceil(length / size)
  let finite = true
  frame((allocate) => {
    const { address, set } = openWork(allocate, work)
    set({ pitch, codesStride: work.inPlace ? (inner > 1 ? inner : length) : 0 })
    forEachSlab(
      input,
      layout,
      size,
      ({ pointer, channels, length, channelStride, elementStride, channel, ...slab }) => {
        const block = channel * pitch
        set({
          ...{ x: pointer, channels, length, channelStride, elementStride, first: slab.start / size },
          scales: work.scales + block * 4,
          zeroPoints: work.zeroPoints + block * (work.method === 'hqq' ? 4 : 1),
          codes: work.codes + (work.inPlace ? slab.offset : (block * size * work.bits) / 8),
        })
        if (wasm().quantizeBlocks(address)) finite = false
      },
    )
  })
  return finite
}
