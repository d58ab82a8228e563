import type { FloatInput } from './floats.ts'
import { floatsAt, frame, intsAt } from './memory.ts'
import { wasm } from './module.ts'
import { type BlockLayout, forEachSlab } from './slabs.ts'

/** How blocks are coded; the numbers are those of `quantizeBlocks` in `assembly/blocks.ts`. */
export const METHODS = { minmax: 0, mse: 1, k_quant: 2, hqq: 3, fp4: 4, nf4: 5 } as const

/** What the kernels are asked; see `Work` in `assembly/group.ts`. Addresses are in the kernels' memory. */
export interface BlockWork {
  readonly method: keyof typeof METHODS
  readonly size: number
  readonly bits: number
  readonly symmetric: boolean
  readonly scaleType: number
  readonly steps: number
  readonly least: number
  readonly scales: number
  readonly zeroPoints: number
  readonly codes: number
  /** A byte per code in the order of the tensor, instead of packed codes channel after channel. */
  readonly inPlace: boolean
}

const FIELDS = 20
const FIELD_OF_LEAST = 11

/** Codes all blocks of a tensor. Results lie channel after channel. False if some value is not finite. */
export function codeBlocks(input: FloatInput, layout: BlockLayout, work: BlockWork): boolean {
  const { size } = work
  const { length, inner } = layout
  const pitch = Math.ceil(length / size)
  let finite = true
  frame((allocate) => {
    const fields = allocate(FIELDS * 4)
    // the kernels gather four groups of four blocks at a time
    const group = allocate(size * 64)
    const importance = allocate(size * 16)
    forEachSlab(input, layout, size, (slab) => {
      const { channel } = slab
      intsAt(fields, FIELDS).set([
        slab.pointer,
        slab.channels,
        slab.length,
        slab.channelStride,
        slab.elementStride,
        size,
        work.bits,
        work.symmetric ? 1 : 0,
        work.scaleType,
        METHODS[work.method],
        work.steps,
        0,
        work.scales + channel * pitch * 4,
        work.zeroPoints + channel * pitch * (work.method === 'hqq' ? 4 : 1),
        work.codes + (work.inPlace ? slab.offset : (channel * pitch * size * work.bits) / 8),
        pitch,
        slab.start / size,
        work.inPlace ? (inner > 1 ? inner : length) : 0,
        group,
        importance,
      ])
      floatsAt(fields, FIELDS)[FIELD_OF_LEAST] = work.least
      if (wasm().quantizeBlocks(fields)) finite = false
    })
  })
  return finite
}
