import { ints } from '../../../../graph/attributes.ts'
import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import { nameOf } from '../../select.ts'
import type { Weight } from '../../weight.ts'
import type { QuantizedWeight } from '../../weight-cache.ts'
import { addOutliers, findOutliers, maskOutliers, type Outliers } from '../outliers.ts'
import { emitProduct } from '../product.ts'
import { codeRange, isSymmetric, type Tools } from '../tools.ts'

/** A product of an activation and a constant matrix. */
export interface MatrixProduct {
  /** Gives place and names. */
  node: Node
  activation: Value
  weight: Weight
  /** True if the activation is to be transposed. */
  transA?: boolean
  /** True if the matrix is stored as [N, K]. */
  transposed: boolean
  /** Factor of the result. */
  alpha?: number
}

/**
 * Emits `alpha * activation x matrix` in integers, with a scale for each column of the matrix or one for all.
 *
 * @returns the float result, or the reason why the node must stay float, as a string
 */
export function matrixProduct(product: MatrixProduct, tools: Tools): Value | string {
  const { node, weight, transposed, transA = false, alpha = 1 } = product
  const { options, weights, tied, activations } = tools
  const { root, tensor, dtype } = weight
  const rank = tensor.dims.length
  if (rank === 0) return 'its weight is a scalar'
  const type = options.weightType ?? 'int8'
  const isTied = transposed && tied.has(root)
  const contraction = transposed || rank === 1 ? 'columns' : 'rows'
  const smoothing = tools.factors.get(node)
  const outliers =
    tools.splitsOutliers && !isTied && !transA && rank === 2
      ? findOutliers(tensor, contraction, smoothing?.values)
      : undefined
  const quantized = weights.get(root, {
    type,
    symmetric: isTied || isSymmetric(options, type),
    range: codeRange(options),
    axis: options.perChannel && rank > 1 ? (transposed ? 0 : rank - 1) : undefined,
    contraction,
    transposed: transposed && !isTied,
    factors: factorsOf(smoothing, outliers, tensor, contraction),
  })
  if (typeof quantized === 'string') return quantized
  const scale =
    alpha === 1
      ? quantized.scale
      : weights.derive(quantized.scale, `times_${alpha}`, () =>
          Tensor.float32(
            quantized.scale.tensor!.dims,
            quantized.scales.scales.map((value) => value * alpha),
          ),
        )
  if (scale !== quantized.scale) tools.leftovers.add(quantized.scale)
  const input = outliers
    ? maskOutliers(product.activation, dtype, outliers, contractionLength(tensor, contraction), node, tools)
    : product.activation
  let activation = activations.quantize(input, dtype, node)
  if (transA) activation = { ...activation, data: transposeOf(activation.data, `${nameOf(node)}_transA`, node) }
  const result = emitProduct({
    node,
    op: 'MatMulInteger',
    activation,
    weight: {
      data: isTied ? tiedTranspose(quantized.data, node, tools) : quantized.data,
      scale,
      zeroPoint: rank > 2 ? batchedZeroPoint(quantized, tensor, tools) : quantized.zeroPoint,
    },
    dtype,
  })
  if (!outliers) return result
  const scaled = alpha === 1 ? outliers : { ...outliers, weights: outliers.weights.map((value) => value * alpha) }
  return addOutliers(result, product.activation, dtype, scaled, node)
}

function contractionLength({ dims }: Tensor, contraction: 'rows' | 'columns'): number {
  return contraction === 'columns' ? dims.at(-1)! : dims.at(-2)!
}

/** Smoothing factors, with 0 for rows that are multiplied in float. */
function factorsOf(
  smoothing: { id: string; values: Float32Array } | undefined,
  outliers: Outliers | undefined,
  tensor: Tensor,
  contraction: 'rows' | 'columns',
): { id: string; values: Float32Array } | undefined {
  if (!outliers) return smoothing
  const values = smoothing?.values.slice() ?? new Float32Array(contractionLength(tensor, contraction)).fill(1)
  for (const row of outliers.rows) values[row] = 0
  return { id: `${smoothing?.id ?? ''}\u0000${outliers.rows.join()}`, values }
}

/** A tied table is transposed when the model is loaded: ONNX Runtime folds Transposes of constants. */
function tiedTranspose(data: Value, node: Node, { transposes }: Tools): Value {
  const known = transposes.get(data)
  if (known?.graph === node.graph) return known
  const value = transposeOf(data, `${data.name}_Transpose`, node)
  transposes.set(data, value)
  return value
}

function transposeOf(data: Value, name: string, node: Node): Value {
  return node.graph
    .insert(
      {
        op: 'Transpose',
        name,
        inputs: [data],
        attributes: { perm: ints([1, 0]) },
        outputs: [`${data.name}_transposed`],
      },
      { before: node },
    )
    .output()
}

/** Zero points of stacked matrices must have their rank: [batch ..., 1, N]. */
function batchedZeroPoint({ zeroPoint, scales }: QuantizedWeight, { dims }: Tensor, { weights }: Tools): Value {
  const tensor = zeroPoint.tensor!
  if (tensor.dims.length === 0) return zeroPoint
  const batch = dims.slice(0, -2)
  const copies = batch.reduce((product, dim) => product * dim, 1)
  const values = Array.from({ length: copies }, () => [...scales.zeroPoints]).flat()
  return weights.derive(zeroPoint, 'batched', () =>
    Tensor.from(tensor.dtype!, [...batch, 1, scales.zeroPoints.length], values),
  )
}
