import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { permute } from '../../kernels/index.ts'
import { DTYPES } from '../../onnx/dtypes.ts'

/** A product of a computed matrix and a constant one. */
export interface Linear {
  node: Node
  /** What is multiplied. */
  input: Value
  /** The constant, as it stands in the model. */
  weight: Value
  /** Size of the last dim of `input`, and of the result. */
  rows: number
  columns: number
  /** True if the constant is stored with rows and columns exchanged. */
  isTransposed: boolean
  /** Factor of the product. */
  alpha: number
  /** What makes the weight out of quantized constants: the product itself (MatMulNBits), or a DequantizeLinear before it. */
  quantized?: Node
}

/**
 * Reads a MatMul or Gemm without bias whose second operand is a constant matrix, directly or behind a Transpose, in float or
 * behind a DequantizeLinear; or a MatMulNBits. With `bias` a Gemm may have one.
 */
export function linearOf(node: Node, { bias = false }: { bias?: boolean } = {}): Linear | undefined {
  if (node.opType === 'MatMulNBits' && node.domain === 'com.microsoft') return blockwise(node)
  const isGemm = node.is('Gemm')
  if (!isGemm && !node.is('MatMul')) return undefined
  if (isGemm && ((node.input(2) && !bias) || node.int('transA', 0) !== 0)) return undefined
  const [input, direct] = node.inputs
  if (!input || !direct) return undefined
  const turn = direct.producer?.is('Transpose') ? direct.producer : undefined
  const isTurned = turn !== undefined && (turn.ints('perm') ?? [1, 0]).join() === '1,0'
  const source = isTurned ? turn.input(0) : direct
  const quantized = dequantizing(source?.producer)
  const weight = quantized ? quantized.input(0) : source
  const tensor = weight?.constant
  if (!weight || !(quantized || weight.isFloat) || tensor?.dims.length !== 2) return undefined
  const isTransposed = isTurned !== (isGemm && node.int('transB', 0) !== 0)
  const [first, second] = tensor.dims as [number, number]
  const [rows, columns] = isTransposed ? [second, first] : [first, second]
  const alpha = isGemm ? node.float('alpha', 1) : 1
  return { node, input, weight, rows, columns, isTransposed, alpha, ...(quantized ? { quantized } : {}) }
}

/** A DequantizeLinear of constants to float32. */
function dequantizing(node: Node | undefined): Node | undefined {
  if (!node?.is('DequantizeLinear')) return undefined
  const isConstant = node.inputs.every((value) => !value || value.constant)
  return isConstant && node.input(1)?.dtype === 'float32' ? node : undefined
}

/** A product whose weights are quantized in blocks, in float32, without bias. */
function blockwise(node: Node): Linear | undefined {
  const [input, weight, scales, ...others] = node.inputs
  const isPlain = [weight, scales, ...others].every((value) => !value || value.constant) && !node.input(5)
  const [rows, columns] = [node.int('K'), node.int('N')]
  if (!input || !weight || !isPlain || scales?.dtype !== 'float32' || !rows || !columns) return undefined
  return { node, input, weight, rows, columns, isTransposed: false, alpha: 1, quantized: node }
}

/** Whether the constants of two products are one, or equal. */
export function isSameWeight(one: Linear, other: Linear): boolean {
  if (one.weight === other.weight) return true
  const [a, b] = [one.weight.constant!, other.weight.constant!]
  if (one.isTransposed !== other.isTransposed || a.dtype !== b.dtype || a.dims.join() !== b.dims.join()) return false
  return Buffer.compare(a.bytes(), b.bytes()) === 0
}

/** The constant of a product as `[rows, columns]`, times a factor. */
export function weightOf({ weight, rows, columns, isTransposed }: Linear, factor: number): Tensor {
  const tensor = weight.constant!
  const { dtype } = tensor
  const size = (DTYPES[dtype!].bits / 8) as 2 | 4 | 8
  const turned = isTransposed
    ? Tensor.of(dtype!, [rows, columns], permute(tensor.bytes(), tensor.dims, [1, 0], size))
    : tensor
  if (factor === 1) return turned
  if (dtype === 'float32')
    return Tensor.float32(
      turned.dims,
      turned.float32().map((value) => value * factor),
    )
  return Tensor.from(
    dtype!,
    turned.dims,
    turned.toNumbers().map((value) => value * factor),
  )
}

/** Makes a product read `value`, which holds `[rows, columns]`, in place of its constant. */
export function setWeight({ node }: Linear, value: Value): void {
  const old = node.input(1)!
  node.setInput(1, value)
  node.attributes.delete('transB')
  node.attributes.delete('alpha')
  const turn = old.producer
  if (turn?.is('Transpose') && old.isUnused) {
    const [source] = turn.inputs
    turn.graph.remove(turn)
    if (source) dropUnused(source)
  } else dropUnused(old)
}

/** Removes a constant that nothing reads any more. */
export function dropUnused(value: Value): void {
  if (!value.isUnused) return
  if (value.isInput) value.graph.removeInput(value)
  if (value.tensor) value.graph.removeInitializer(value)
  else if (value.producer?.is('Constant')) value.graph.remove(value.producer)
}
