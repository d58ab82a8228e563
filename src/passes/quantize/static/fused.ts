import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { embedLayerNormalization } from '../dynamic/ops/embed-layer-normalization.ts'
import { attentionBlocker } from '../q-attention.ts'
import { prune } from '../weight.ts'
import { WeightCache } from '../weight-cache.ts'
import { constantOf } from './marks.ts'
import type { Operator } from './operators.ts'
import { CONTRIB_DOMAIN } from './versions.ts'

/** Devices whose ONNX Runtime has kernels for the integer forms of fused operators. */
const DEVICES = ['cpu', 'wasm']

/** Fused operators with an integer form. */
export const FUSED: readonly string[] = ['Attention', 'EmbedLayerNormalization']

/** True for Attention with a packed weight, which is a product and more. */
export function isAttention(node: Node): boolean {
  return node.is('Attention', CONTRIB_DOMAIN)
}

/**
 * Attention with a packed weight: its input and its weight are quantized, what it gives is float. Undefined for other operators, and where
 * nothing can run its integer form.
 */
export function attentionOperator(node: Node, device: string): Operator | undefined {
  if (!isAttention(node) || !DEVICES.includes(device) || attentionBlocker(node)) return undefined
  return {
    kind: 'product',
    mark(at, { marks, options }) {
      // Its kernels take uint8 only.
      const eight = options.activationType === 'uint8' && (options.weightType ?? 'int8').endsWith('int8')
      const weight = constantOf(at.input(1))
      if (!eight || !weight || !marks.activation(at.input(0))) return false
      return marks.constant(at, 1, { kind: 'weight', weight, axis: options.perChannel ? 1 : undefined, product: true })
    },
  }
}

/** Gives Attention a bias of zeros where it has none: ONNX Runtime 1.30 crashes without one. Returns how many got one. */
export function giveBias(nodes: Iterable<Node>): number {
  let given = 0
  for (const node of nodes) {
    const columns = constantOf(node.input(1))?.tensor.dims[1]
    if (!isAttention(node) || node.input(2) || columns === undefined) continue
    const zeros = Tensor.float32([columns], new Float32Array(columns))
    node.setInput(2, node.graph.addInitializer(`${node.input(1)!.name}_no_bias`, zeros))
    given++
  }
  return given
}

/** True for embeddings with their normalization, where something can run its integer form. */
export function isEmbedding(node: Node, device: string): boolean {
  return node.is('EmbedLayerNormalization', CONTRIB_DOMAIN) && DEVICES.includes(device)
}

/** Embeddings with their normalization take their tables as they are, in whatever form the rest is written. */
export function quantizeEmbeddings(nodes: readonly Node[], left: (node: Node, reason: string) => void): number {
  const weights = new WeightCache()
  const leftovers = new Set<Value>()
  let done = 0
  for (const node of nodes) {
    const outcome = embedLayerNormalization.quantize(node, { weights, leftovers })
    if (outcome === 'done') done++
    else if (outcome !== 'skipped') left(node, outcome.reason)
  }
  prune(leftovers)
  return done
}
