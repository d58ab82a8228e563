import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { DTYPES } from '../../onnx/dtypes.ts'
import { constantOf, integersOf } from '../../rewrite/index.ts'
import { viewOf } from './view.ts'

/** A value that is `input · weight[:, from..to] + bias[from..to]`, with constant weight and bias. */
export interface Projection {
  /** [batch, length, width] */
  input: Value
  weight: Tensor
  bias: Tensor | undefined
  from: number
  to: number
}

/** The projection that a value [batch, length, hidden] is, alone or as one part of a packed one; undefined if it is none. */
export function projectionOf(value: Value): Projection | undefined {
  const node = value.producer
  const hidden = value.shape?.at(-1)
  if (!node || value.rank !== 3 || typeof hidden !== 'number') return undefined
  const range = partOf(node, value)
  const whole = range ? node.input(0)! : value
  const product = productOf(whole)
  if (!product) return undefined
  const [from, to] = range ?? [0, hidden]
  return to - from === hidden && to <= product.weight.dims[1]! ? { ...product, from, to } : undefined
}

/** Which columns of its input's last axis a Split or Slice takes. */
function partOf(node: Node, value: Value): [number, number] | undefined {
  const size = node.input(0)?.shape?.at(-1)
  const rank = value.rank!
  if (typeof size !== 'number') return undefined
  if (node.is('Split')) {
    const axis = node.int('axis', 0)
    if (axis !== -1 && axis !== rank - 1) return undefined
    const sizes =
      node.ints('split') ?? integersOf(node.input(1)) ?? node.outputs.map(() => Math.ceil(size / node.outputs.length))
    const from = sizes.slice(0, value.outputIndex).reduce((sum, each) => sum + each, 0)
    return [from, from + sizes[value.outputIndex]!]
  }
  if (!node.is('Slice')) return undefined
  const [starts, ends, axes, steps] = ['starts', 'ends', 'axes', 'steps'].map(
    (name, i) => node.ints(name) ?? integersOf(node.input(i + 1)),
  )
  const isLast = axes?.length === 1 && (axes[0] === -1 || axes[0] === rank - 1)
  if (!isLast || starts?.length !== 1 || ends?.length !== 1 || (steps && steps[0] !== 1)) return undefined
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, 0), size)
  return [clamp(starts[0]!), clamp(ends[0]!)]
}

type Product = Pick<Projection, 'input' | 'weight' | 'bias'>

function productOf(value: Value): Product | undefined {
  // An exporter may flatten batch and length for a Gemm.
  const stages = viewOf(value)
  const source = stages?.[0]
  if (!source || source.axes.length > 3) return undefined
  const node = source.value.producer
  if (node?.is('Gemm')) return gemmOf(node, value)
  if (source.value !== value) return undefined
  if (node?.is('Add')) {
    const [a, b] = [node.input(0), node.input(1)]
    const bias = vectorOf(a, value) ?? vectorOf(b, value)
    const inner = bias && productOf(vectorOf(a, value) ? b! : a!)
    return inner && !inner.bias ? { ...inner, bias } : undefined
  }
  const [input, weight] = [node?.input(0), constantOf(node?.input(1))]
  if (!node?.is('MatMul') || input?.rank !== 3 || weight?.dims.length !== 2) return undefined
  return { input, weight, bias: undefined }
}

function gemmOf(node: Node, value: Value): Product | undefined {
  const plain =
    node.float('alpha', 1) === 1 && node.float('beta', 1) === 1 && !node.int('transA') && !node.int('transB')
  const weight = constantOf(node.input(1))
  const bias = node.input(2) && vectorOf(node.input(2), value)
  const rows = node.input(0)
  const before = rows && viewOf(rows)?.find(({ value: { rank } }) => rank === 3)?.value
  // The rows must be batch and length as they are in the value.
  const fits =
    before?.shape && value.shape && before.shape.slice(0, 2).every((dim, i) => dim !== null && dim === value.shape![i])
  return plain && fits && weight?.dims.length === 2 && (bias || !node.input(2))
    ? { input: before, weight, bias }
    : undefined
}

/** A constant along the last axis of a value. */
function vectorOf(value: Value | undefined, like: Value): Tensor | undefined {
  const tensor = constantOf(value)
  const width = like.producer?.is('Add') ? like.shape?.at(-1) : tensor?.elementCount
  return tensor?.dims.length === 1 && tensor.elementCount === width ? tensor : undefined
}

/** Weights of query, key and value side by side, [width, q + k + v]; the tensor itself where it is packed so already. */
export function packedWeights(parts: readonly Projection[]): Tensor {
  const { weight } = parts[0]!
  if (isPacked(parts)) return weight
  const size = DTYPES[weight.dtype!].bits / 8
  const rows = weight.dims[0]!
  const columns = parts.reduce((sum, { from, to }) => sum + to - from, 0)
  const data = new Uint8Array(rows * columns * size)
  let at = 0
  for (const { weight: part, from, to } of parts) {
    const bytes = part.bytes()
    const width = part.dims[1]!
    for (let row = 0; row < rows; row++)
      data.set(bytes.subarray((row * width + from) * size, (row * width + to) * size), (row * columns + at) * size)
    at += to - from
  }
  return Tensor.of(weight.dtype!, [rows, columns], data)
}

/** Biases one after the other, zeros for those that are not there. */
export function packedBias(parts: readonly Projection[]): Tensor {
  const { weight, bias } = parts[0]!
  if (bias && isPacked(parts)) return bias
  const size = DTYPES[weight.dtype!].bits / 8
  const data = new Uint8Array(parts.reduce((sum, { from, to }) => sum + to - from, 0) * size)
  let at = 0
  for (const { bias: part, from, to } of parts) {
    if (part) data.set(part.bytes().subarray(from * size, to * size), at)
    at += (to - from) * size
  }
  return Tensor.of(weight.dtype!, [data.length / size], data)
}

function isPacked(parts: readonly Projection[]): boolean {
  const { weight, bias } = parts[0]!
  return (
    parts.every((part) => part.weight === weight && part.bias === bias) &&
    parts.every(({ from }, i) => from === (parts[i - 1]?.to ?? 0)) &&
    parts.at(-1)!.to === weight.dims[1]
  )
}

/** True if a value is read only on the way to one reader of its last stage: nothing else needs it. */
export function isPrivate(value: Value): boolean {
  const stages = viewOf(value)
  if (!stages) return false
  return stages.every(
    ({ value: { isOutput, users } }) => !isOutput && users.filter((node) => !node.is('Shape')).length === 1,
  )
}
