import { ints } from '../../../../graph/attributes.ts'
import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import type { QuantizedWeight } from '../../weight-cache.ts'
import { codeRange, isSymmetric, type Tools } from '../tools.ts'

/**
 * The right-hand matrix of a product, quantized, as [..., K, N]: with a scale for each of the N columns, or one for all.
 *
 * @param transposed true if the stored matrix is [N, K]
 * @returns the reason why it must stay float, as a string
 */
export function matrixWeight(
  root: Value,
  transposed: boolean,
  node: Node,
  tools: Tools,
): { data: Value; scale: Value; zeroPoint: Value; scales: QuantizedWeight['scales'] } | string {
  const { options, weights, tied } = tools
  const rank = root.constant?.dims.length ?? 0
  if (rank === 0) return 'its weight is a scalar'
  const type = options.weightType ?? 'int8'
  const isTied = transposed && tied.has(root)
  const weight = weights.get(root, {
    type,
    symmetric: isTied || isSymmetric(options, type),
    range: codeRange(options),
    axis: options.perChannel && rank > 1 ? (transposed ? 0 : rank - 1) : undefined,
    contraction: transposed || rank === 1 ? 'columns' : 'rows',
    transposed: transposed && !isTied,
  })
  if (typeof weight === 'string') return weight
  return {
    ...weight,
    data: isTied ? transposeOf(weight.data, node, tools) : weight.data,
    zeroPoint: rank > 2 ? batchedZeroPoint(weight, root, tools) : weight.zeroPoint,
  }
}

/** A tied table is transposed when the model is loaded: ONNX Runtime folds Transposes of constants. */
function transposeOf(data: Value, node: Node, { transposes }: Tools): Value {
  const { graph } = node
  const known = transposes.get(graph) ?? new Map<Value, Value>()
  transposes.set(graph, known)
  const found = known.get(data)
  if (found) return found
  const value = graph
    .insert(
      {
        op: 'Transpose',
        name: `${data.name}_Transpose`,
        inputs: [data],
        attributes: { perm: ints([1, 0]) },
        outputs: [`${data.name}_transposed`],
      },
      { before: node },
    )
    .output()
  known.set(data, value)
  return value
}

/** Zero points of stacked matrices must have their rank: [batch ..., 1, N]. */
function batchedZeroPoint({ zeroPoint, scales }: QuantizedWeight, root: Value, { weights }: Tools): Value {
  const tensor = zeroPoint.tensor!
  if (tensor.dims.length === 0) return zeroPoint
  const batch = root.constant!.dims.slice(0, -2)
  const copies = batch.reduce((product, dim) => product * dim, 1)
  return weights.derive(zeroPoint, 'batched', () =>
    Tensor.from(tensor.dtype!, [...batch, 1, scales.zeroPoints.length], repeat([...scales.zeroPoints], copies)),
  )
}

function repeat(values: readonly number[], times: number): number[] {
  return Array.from({ length: times }, () => values).flat()
}
