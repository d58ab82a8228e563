import type { Node } from '../../../../graph/node.ts'
import type { Value } from '../../../../graph/value.ts'
import { replaceNode } from '../../replace.ts'
import { findWeight } from '../../weight.ts'
import type { QuantizedWeight } from '../../weight-cache.ts'
import { type Handler, left, type Outcome, type Tools } from '../tools.ts'

const DOMAIN = 'com.microsoft'

/** EmbedLayerNormalization with constant tables -> QEmbedLayerNormalization, whose tables are all uint8 with one scale. */
export const embedLayerNormalization: Handler & {
  quantize(node: Node, tools: Pick<Tools, 'weights' | 'leftovers'>): Outcome
} = {
  op: 'EmbedLayerNormalization',
  domain: DOMAIN,
  quantize(node, { weights, leftovers }) {
    const [ids, segments, word, position, segment, gamma, beta, mask, positionIds] = Array.from({ length: 9 }, (_, i) =>
      node.input(i),
    )
    if (!ids || !word || !position || !gamma || !beta) return 'skipped'
    if (positionIds) return left('QEmbedLayerNormalization has no position_ids')
    if (node.outputs[2]) return left('QEmbedLayerNormalization does not return the sum of the embeddings')
    if (node.int('mask_index_type', mask ? 1 : 0) === 2)
      return left('QEmbedLayerNormalization has no mask_index_type 2')
    const tables = [word, position, segment, gamma, beta]
    const quantized: (QuantizedWeight | undefined)[] = []
    for (const table of tables) {
      const found = table && findWeight(table)
      if (table && (!found || found.transposed)) return left('one of its tables is computed at run time')
      if (found && found.dtype !== 'float32') return left(`QEmbedLayerNormalization has no ${found.dtype} form`)
      const weight =
        found && weights.get(found.root, { type: 'uint8', symmetric: false, range: 'full', axis: undefined })
      if (typeof weight === 'string') return left(weight)
      quantized.push(weight)
    }
    const pick = (key: 'data' | 'scale' | 'zeroPoint'): (Value | null)[] =>
      quantized.map((weight) => weight?.[key] ?? null)
    const { graph } = node
    const fresh = graph.insert(
      {
        op: 'QEmbedLayerNormalization',
        domain: DOMAIN,
        name: `${node.name || 'EmbedLayerNormalization'}_quant`,
        inputs: [ids, segments ?? null, ...pick('data'), mask ?? null, ...pick('scale'), ...pick('zeroPoint')],
        attributes: { epsilon: node.attributes.get('epsilon') },
        // The second output is not optional here.
        outputs: [0, 1].map((i) => `${node.outputs[i]?.name ?? `${node.output().name}_mask`}_quant`),
        types: [node.output().type, node.outputs[1]?.type],
      },
      { before: node },
    )
    replaceNode(node, ...fresh.outputs.map((value) => value ?? undefined))
    graph.model.useDomain(DOMAIN)
    for (const table of tables) if (table) leftovers.add(table)
    return 'done'
  },
}
