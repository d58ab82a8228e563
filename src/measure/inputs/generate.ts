import type { Model } from '../../graph/model.ts'
import { elementsIn, Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { DTYPES } from '../../onnx/dtypes.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { Feeds } from '../isolated.ts'
import { checkRoles, type Role, type Roles, roleOf } from './roles.ts'
import { searchSetting, searchVocabulary } from './search.ts'
import { bind, type Sizes } from './sizes.ts'
import { tableSize } from './tables.ts'

/** Shapes of attention masks, one sample after another. */
const MASKS = ['ones', 'right', 'left', 'holes'] as const

/**
 * Plausible inputs made from the graph: ids within the table they look up, masks of ones, padded right, padded left and with
 * holes, images of smooth colours, else normally distributed numbers. The same on every run.
 *
 * @param sizes sizes of dynamic dimensions
 * @param seed other numbers for every seed
 * @param roles what inputs are, where their names do not tell
 * @throws OnnxError `INPUTS_UNKNOWN` for inputs that are no tensors, `INPUTS_INVALID` for roles of inputs that there are not
 */
export function generateInputs(
  model: Model,
  count: number,
  sizes: Sizes,
  { seed = 0, roles }: { seed?: number; roles?: Roles | undefined } = {},
): Feeds[] {
  const inputs = model.graph.inputs.filter(({ tensor, sparse }) => !tensor && !sparse)
  checkRoles(
    roles,
    inputs.map(({ name }) => name),
  )
  return Array.from({ length: count }, (_, sample) => {
    const random = randomNumbers(seed * 65536 + sample)
    return Object.fromEntries(
      inputs.map((input) => [input.name, generate(input, roleOf(input.name, roles), sample, sizes, random)]),
    )
  })
}

function generate(input: Value, role: Role | undefined, sample: number, sizes: Sizes, random: () => number): Tensor {
  const { dtype, name } = input
  const kind = dtype && DTYPES[dtype].kind
  if (!dtype || !['float', 'int', 'bool', 'string'].includes(kind ?? ''))
    throw new OnnxError('INPUTS_UNKNOWN', `inputs for "${name}" can't be made up`, {
      hint: 'Give inputs: a .npz file with an array for each input of the model.',
    })
  const dims = bind(input.shape ?? [], sizes)
  const count = elementsIn(dims)
  // Some models take bytes or ids as floats.
  if (kind === 'string')
    return Tensor.strings(
      dims,
      Array.from({ length: count }, (_, i) => ['hello', 'world', 'a longer text'][i % 3]!),
    )
  const setting = searchSetting(input, sizes.sequence)
  if (setting !== undefined) return Tensor.from(dtype, dims, new Array<number>(count).fill(setting))
  const table = kind === 'float' ? tableSize(input) : undefined
  const numbers =
    role === 'mask' && dims.length > 1
      ? mask(dims, MASKS[sample % MASKS.length]!, random)
      : table !== undefined
        ? Array.from({ length: count }, () => Math.floor(random() * table))
        : kind === 'float'
          ? floats(dims, random)
          : kind === 'bool'
            ? Array.from({ length: count }, () => (count > 1 && random() < 0.5 ? 1 : 0))
            : integers(input, role, dims, sizes, random)
  return Tensor.from(dtype, dims, numbers)
}

/** Rows of the last dimension; what is left of them is at least a third. */
function mask(dims: readonly number[], form: (typeof MASKS)[number], random: () => number): number[] {
  const width = dims.at(-1)!
  return Array.from({ length: elementsIn(dims) / (width || 1) }, (_, row) => {
    const kept = row === 0 && form !== 'ones' ? Math.ceil(width * 0.6) : Math.ceil(width * (1 / 3 + (2 / 3) * random()))
    return Array.from({ length: width }, (_, i) => {
      if (form === 'ones') return 1
      if (form === 'right') return i < kept ? 1 : 0
      if (form === 'left') return i >= width - kept ? 1 : 0
      return i === 0 || i === width - 1 || random() < 0.7 ? 1 : 0
    })
  }).flat()
}

function integers(
  input: Value,
  role: Role | undefined,
  dims: readonly number[],
  sizes: Sizes,
  random: () => number,
): number[] {
  const { name, dtype } = input
  const width = dims.at(-1) ?? 1
  const count = elementsIn(dims)
  const table = tableSize(input) ?? searchVocabulary(input)
  // One number a row, for as many tokens as are no padding.
  if (role === 'lengths' || (role === 'mask' && dims.length === 1 && count > 1))
    return Array.from({ length: count }, () => Math.ceil(sizes.sequence * (1 / 3 + (2 / 3) * random())))
  if (role === 'positions')
    return Array.from({ length: count }, (_, i) => Math.min(i % (width || 1), (table ?? width) - 1))
  if (role === 'segments') {
    // A first sentence and a second.
    return Array.from({ length: count }, (_, i) => (i % width >= width / 2 && (table ?? 2) > 1 ? 1 : 0))
  }
  if (table !== undefined) return Array.from({ length: count }, () => Math.floor(random() * table))
  if (dtype === 'uint8' && dims.length >= 3)
    return floats(dims, random).map((x) => Math.round(Math.min(Math.max(x, 0), 1) * 255))
  if (/^sr$|sampl(e|ing)_?rate/i.test(name)) return Array.from({ length: count }, () => 16000)
  if (count <= 1 || /len|size|num/i.test(name)) return Array.from({ length: count }, () => 1)
  return Array.from({ length: count }, () => Math.floor(random() * 2))
}

function floats(dims: readonly number[], random: () => number): number[] {
  const count = elementsIn(dims)
  if (dims.length !== 4 || !isImage(dims)) return Array.from({ length: count }, () => normal(random))
  // A gradient with a soft spot and some noise, in 0..1: most images are fed so, or about zero by as much.
  const channelsLast = dims[3]! <= 4
  const [height, width] = channelsLast ? [dims[1]!, dims[2]!] : [dims[2]!, dims[3]!]
  const [cx, cy, slope] = [random(), random(), random() - 0.5]
  return Array.from({ length: count }, (_, i) => {
    const at = channelsLast ? Math.floor(i / dims[3]!) : i
    const [x, y] = [(at % width) / width, (Math.floor(at / width) % height) / height]
    const spot = Math.exp(-8 * ((x - cx) ** 2 + (y - cy) ** 2))
    return Math.min(1, Math.max(0, 0.4 + slope * (x + y - 1) + 0.4 * spot + 0.1 * (random() - 0.5)))
  })
}

function isImage([, a, b, c]: readonly number[]): boolean {
  return (a! <= 4 && b! > 4 && c! > 4) || (c! <= 4 && a! > 4 && b! > 4)
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** Uniform numbers in 0..1 (mulberry32, Tommy Ettinger, public domain). */
function randomNumbers(seed: number): () => number {
  let state = (seed + 1) * 0x9e3779b9
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}
