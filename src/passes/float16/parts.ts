import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { orList } from '../../params/value.ts'

const NORMS = new Set([
  ...['LayerNormalization', 'RMSNormalization', 'GroupNormalization', 'InstanceNormalization', 'BatchNormalization'],
  ...['SimplifiedLayerNormalization', 'SkipLayerNormalization', 'SkipSimplifiedLayerNormalization', 'GroupNorm'],
  ...['SkipGroupNorm', 'EmbedLayerNormalization', 'LpNormalization', 'MeanVarianceNormalization'],
])

/** Parts of models that are known to need float32 more often than others, by the name a user gives them. */
const PARTS: Readonly<Record<string, (node: Node, model: Model) => boolean>> = {
  norms: (node) => NORMS.has(node.opType) || isPartOfNorm(node),
  softmax: ({ opType }) => opType === 'Softmax' || opType === 'LogSoftmax',
  // A sum of two computed tensors: the stream that grows from layer to layer.
  residuals: (node) => node.opType === 'Add' && node.inputs.every((value) => value && !value.constant),
  logits: (node, model) => makesLogits(node, model),
}

/** The variance of a norm that is written out: the mean of squares, the epsilon, the root. */
function isPartOfNorm(node: Node): boolean {
  const isMean = (value: Value | undefined): boolean => value?.producer?.opType === 'ReduceMean'
  const squares = (value: Value | undefined): boolean => ['Pow', 'Mul'].includes(value?.producer?.opType ?? '')
  switch (node.opType) {
    case 'ReduceMean':
      return squares(node.input(0))
    case 'Pow':
    case 'Mul':
      return node.outputs[0]?.users.some((user) => user.opType === 'ReduceMean') ?? false
    case 'Add':
      return isMean(node.input(0)) || isMean(node.input(1))
    case 'Sqrt':
      return node.input(0)?.producer?.opType === 'Add' && isPartOfNorm(node.input(0)!.producer!)
    default:
      return false
  }
}

/** The product that gives the first output, and what follows it. */
function makesLogits(node: Node, { graph }: Model): boolean {
  for (let at = graph.outputs[0]?.producer; at; at = at.input(0)?.producer) {
    if (at === node) return true
    if (at.opType === 'MatMul' || at.opType === 'Gemm') return false
  }
  return false
}

/**
 * The nodes of parts that the user names.
 *
 * @throws OnnxError `OPTION_VALUE` for a part that there is not
 */
export function nodesOfParts(model: Model, parts: readonly string[]): Set<Node> {
  const found = new Set<Node>()
  for (const part of parts) {
    const belongs = PARTS[part]
    if (!belongs)
      throw new OnnxError('OPTION_VALUE', `float32_parts: there is no part '${part}'`, {
        hint: `Parts are ${orList(Object.keys(PARTS))}.`,
      })
    for (const node of model.graph.allNodes()) if (belongs(node, model)) found.add(node)
  }
  return found
}
