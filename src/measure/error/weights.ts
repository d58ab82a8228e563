import { withFloats } from '../../graph/float-data.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'
import { channelLayout, codeReader, compare, type QuantizedType, toFloat32 } from '../../kernels/index.ts'

/** What quantization did to one weight. */
export interface WeightError {
  /** The float model's name. */
  name: string
  type: string
  /** Signal to noise ratio in dB; null where nothing is lost. */
  sqnr: number | null
  maxDifference: number
  /** True if channels were multiplied by factors first (smoothing, a folded normalization), which are left out of the error. */
  rescaled: boolean
}

/** What quantization tools, this one too, put behind the name of a weight. */
const CODES = /_(quantized|DQ_Q[248]|Q[248])$/

interface Weight {
  type: string
  dims: readonly number[]
  values: Float32Array
}

/** Matches the weights of a float model with the codes that a quantized model has of them, by name. The worst first. */
export function weightErrors(reference: Model, quantized: Model): WeightError[] {
  const floats = constantsOf(reference)
  const errors: WeightError[] = []
  for (const [codes, tensor] of constantsOf(quantized)) {
    const name = codes.replace(CODES, '')
    const float = name === codes ? undefined : floats.get(name)
    const weight = float && (fromBlocks(quantized, codes) ?? fromChannels(quantized, codes, tensor, float))
    if (weight && weight.values.length === float.elementCount)
      errors.push({ name, type: weight.type, ...errorOf(float, weight) })
  }
  return errors.sort((a, b) => (a.sqnr ?? Number.POSITIVE_INFINITY) - (b.sqnr ?? Number.POSITIVE_INFINITY))
}

function constantsOf(model: Model): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>()
  for (const graph of model.allGraphs()) {
    for (const { name, tensor } of graph.initializers) if (tensor) tensors.set(name, tensor)
    for (const node of graph.nodes()) {
      const tensor = node.is('Constant') ? node.constantTensor() : undefined
      if (tensor) tensors.set(node.output().name, tensor)
    }
  }
  return tensors
}

/** The operators that read codes as blocks. */
function fromBlocks(model: Model, codes: string): Weight | undefined {
  for (const node of model.allNodes()) {
    const at = node.inputs.findIndex((value) => value?.name === codes)
    if (at < 0) continue
    if (node.opType === 'MatMulNBits') return matMulNBits(node)
    if (node.opType === 'GatherBlockQuantized' || node.int('block_size', 0) > 0) return blocks(node)
  }
  return undefined
}

/** [N, blocks, bytes] with the middle code as zero, unless there are zero points; as [K, N]. */
function matMulNBits(node: Node): Weight | undefined {
  const [k, n, bits, size] = ['K', 'N', 'bits', 'block_size'].map((name) =>
    node.int(name, name === 'bits' ? 4 : 0),
  ) as [number, number, number, number]
  const [codes, scales, zeroPoints] = [1, 2, 3].map((i) => sourceOf(node, i))
  if (!codes || !scales) return undefined
  const count = Math.ceil(k / size)
  const scaleAt = floatsOf(scales)
  const bytes = codes.bytes()
  const zeros = zeroPoints && !zeroPoints.dtype?.startsWith('float') ? zeroPoints.bytes() : undefined
  const floatZeros = zeroPoints && !zeros ? floatsOf(zeroPoints) : undefined
  const read = (from: Uint8Array, row: number, stride: number, i: number): number => {
    const bit = i * bits
    return (from[row * stride + (bit >> 3)]! >> (bit & 7)) & ((1 << bits) - 1)
  }
  const values = new Float32Array(k * n)
  for (let column = 0; column < n; column++)
    for (let i = 0; i < k; i++) {
      const block = Math.floor(i / size)
      const at = column * count + block
      const code = read(bytes, at, (size * bits) / 8, i % size)
      const zero =
        floatZeros?.[at] ?? (zeros ? read(zeros, column, Math.ceil((count * bits) / 8), block) : 2 ** (bits - 1))
      values[i * n + column] = (code - zero) * scaleAt[at]!
    }
  return { type: `${bits} bits`, dims: [k, n], values }
}

/** DequantizeLinear with blocks along `axis`, and GatherBlockQuantized. */
function blocks(node: Node): Weight | undefined {
  const isGather = node.opType === 'GatherBlockQuantized'
  const [codes, scales, zeroPoints] = (isGather ? [0, 2, 3] : [0, 1, 2]).map((i) => sourceOf(node, i))
  const type = codes?.dtype
  if (!codes || !scales || !/^u?int[48]$/.test(type ?? '')) return undefined
  const axis = node.int(isGather ? 'quantize_axis' : 'axis', 1)
  const size = node.int('block_size', 0)
  const { channels, inner } = channelLayout(codes.dims, axis)
  const count = Math.ceil(channels / size)
  const [codeAt, scaleAt] = [codeReader(codes.bytes(), type as QuantizedType), floatsOf(scales)]
  const zeroAt = zeroPoints && codeReader(zeroPoints.bytes(), type as QuantizedType)
  const middle = isGather && type!.startsWith('u') ? 8 : 0
  const values = Float32Array.from({ length: codes.elementCount }, (_, i) => {
    const along = Math.floor(i / inner) % channels
    const block = (Math.floor(i / (channels * inner)) * count + Math.floor(along / size)) * inner + (i % inner)
    return (codeAt(i) - (zeroAt?.(block) ?? middle)) * scaleAt[block]!
  })
  return { type: type!, dims: codes.dims, values }
}

/** Codes with one scale, or one per element of some axis. */
function fromChannels(model: Model, codes: string, tensor: Tensor, float: Tensor): Weight | undefined {
  const type = tensor.dtype
  if (!/^u?int(4|8|16)$/.test(type ?? '')) return undefined
  const { name: root, graph } = valueCalled(model, codes)!
  const stem = root.replace(CODES, '')
  // Convolutions have their scales in another shape, under a longer name.
  const named = (suffix: string): Tensor | undefined =>
    [...graph.initializers]
      .filter(({ name }) => name.startsWith(`${stem}_${suffix}`))
      .sort((a, b) => a.name.length - b.name.length)[0]?.tensor
  const [scale, zeroPoint] = [named('scale'), named('zero_point')]
  if (!scale) return undefined
  const scales = floatsOf(scale)
  const zeros = zeroPoint?.toNumbers() ?? [0]
  const codeAt = codeReader(tensor.bytes(), type as QuantizedType)
  const expected = floatsOf(float)
  const along = (axis: number | undefined): Weight => {
    const { channels, inner } =
      axis === undefined ? { channels: 1, inner: tensor.elementCount } : channelLayout(tensor.dims, axis)
    const values = Float32Array.from({ length: tensor.elementCount }, (_, i) => {
      const channel = Math.floor(i / inner) % channels
      return (codeAt(i) - Number(zeros[zeros.length > 1 ? channel : 0])) * scales[channel]!
    })
    return { type: type!, dims: tensor.dims, values }
  }
  if (scales.length === 1) return along(undefined)
  const candidates = tensor.dims.flatMap((dim, axis) => (dim === scales.length ? [along(axis)] : []))
  // Which axis has the scales is not said everywhere: the one that fits better.
  const sqnr = ({ values }: Weight): number =>
    values.length === expected.length ? compare(expected, values).sqnr : Number.NEGATIVE_INFINITY
  return candidates.sort((a, b) => sqnr(b) - sqnr(a))[0]
}

function valueCalled(model: Model, name: string): { name: string; graph: Model['graph'] } | undefined {
  for (const graph of model.allGraphs()) for (const value of graph.initializers) if (value.name === name) return value
  return undefined
}

/** A constant input, also behind the Cast that unpacks scales when the model is loaded. */
function sourceOf(node: Node, index: number): Tensor | undefined {
  const value = node.input(index)
  return value?.constant ?? (value?.producer?.is('Cast') ? value.producer.input(0)?.constant : undefined)
}

function floatsOf(tensor: Tensor): Float32Array {
  return withFloats(tensor, (data) => toFloat32(data))
}

/** By how much channels must fit better with factors than without to have been multiplied, in dB. */
const CLEARLY = 10

function errorOf(float: Tensor, { dims, values }: Weight): Pick<WeightError, 'sqnr' | 'maxDifference' | 'rescaled'> {
  let expected = floatsOf(float)
  const transposed =
    dims.length === 2 && String(dims) !== String(float.dims) && String([...dims].reverse()) === String(float.dims)
  if (transposed) expected = transpose(expected, float.dims[0]!, float.dims[1]!)
  let best = compare(expected, values)
  let rescaled = false
  for (let axis = 0; axis < dims.length && dims.length > 1; axis++) {
    const found = compare(withFactors(expected, values, channelLayout(dims, axis)), values)
    if (!(found.sqnr > best.sqnr + CLEARLY)) continue
    best = found
    rescaled = true
  }
  const { sqnr, maxDifference } = best
  return { sqnr: sqnr === Number.POSITIVE_INFINITY ? null : Math.round(sqnr * 100) / 100, maxDifference, rescaled }
}

/** The expected weight times the factor of each channel that fits best. */
function withFactors(
  expected: Float32Array,
  found: Float32Array,
  { channels, inner }: { channels: number; inner: number },
): Float32Array {
  const [dots, squares] = [new Float64Array(channels), new Float64Array(channels)]
  const channelOf = (i: number): number => Math.floor(i / inner) % channels
  for (let i = 0; i < expected.length; i++) {
    const channel = channelOf(i)
    dots[channel]! += expected[i]! * found[i]!
    squares[channel]! += expected[i]! ** 2
  }
  return expected.map((value, i) => {
    const channel = channelOf(i)
    return squares[channel]! > 0 ? (value * dots[channel]!) / squares[channel]! : value
  })
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: values.length }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!)
}
