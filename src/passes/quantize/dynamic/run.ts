import type { Graph } from '../../../graph/graph.ts'
import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import { blockersOf } from '../../../graph/opset/blockers.ts'
import type { Value } from '../../../graph/value.ts'
import type { PassContext, PassResult } from '../../pass.ts'
import { isAlreadyQuantized } from '../already.ts'
import { inlineQuantizable } from '../functions.ts'
import type { Part } from '../part.ts'
import { selector, wantsType } from '../select.ts'
import { prune } from '../weight.ts'
import { WeightCache } from '../weight-cache.ts'
import { Activations } from './activations.ts'
import { HANDLERS } from './ops/index.ts'
import { smoothNorms } from './smooth.ts'
import { findTies } from './tied.ts'
import { type DynamicOptions, type Handler, isSymmetric, type Tools } from './tools.ts'

/** DynamicQuantizeLinear exists from here on. */
const LEAST_OPSET = 11

/** Recurrent operators without a quantized form. */
const NEVER = ['GRU', 'RNN']

/** Quantizes a model in place. See `dynamicQuantization`. */
export async function run(
  model: Model,
  options: DynamicOptions,
  context: PassContext,
  part?: Part,
): Promise<PassResult> {
  const { note } = context
  if (!part && isAlreadyQuantized(model, note)) return { changes: 0 }
  const supported = [...new Set(HANDLERS.map(({ op }) => op))]
  const handlers = new Map(HANDLERS.map((handler) => [key(handler.domain, handler.op), handler]))
  const { inlined, aliases } = inlineQuantizable(
    model,
    ({ domain, opType }) => handlers.has(key(domain, opType)) && wantsType(opType, options),
    context,
    part,
  )
  const isSelected = selector(model, options, supported, note, part, aliases)
  const handlerOf = (node: Node): Handler | undefined =>
    isSelected(node) ? handlers.get(key(node.domain, node.opType)) : undefined
  const candidates = new Set([...model.graph.allNodes()].filter(handlerOf))
  noteNeverQuantized(model, options, context)
  if (!candidates.size) return { changes: inlined }
  const opset = model.opset
  if (opset < LEAST_OPSET && !raiseOpset(model, context)) return { changes: inlined }
  if (!options.matmulConstOnly) await context.ort.inferTypes(model)

  // What Gather and a product share has one scale per row and no zero points: copies that lose by that are kept apart.
  const mayShare = options.perChannel && isSymmetric(options, options.weightType ?? 'int8')
  const { tables: tied, copies } = findTies(candidates, mayShare)
  const leftovers = new Set<Value>()
  const smooth = options.smoothNorms ?? options.perChannel
  const tools: Tools = {
    options,
    opset: model.opset,
    activations: new Activations(),
    weights: new WeightCache(),
    tied,
    copies,
    transposes: new Map(),
    factors: smooth ? smoothNorms([...candidates], (root) => tied.has(root) || copies.has(root), leftovers) : new Map(),
    splitsOutliers: options.floatOutliers ?? options.perChannel,
    masked: new Map(),
    leftovers,
  }
  const counts: Record<string, number> = {}
  let done = 0
  const visit = (graph: Graph): void => {
    for (const node of graph.nodes()) {
      for (const body of node.subgraphs) visit(body)
      const handler = handlerOf(node)
      if (!handler || !candidates.has(node)) continue
      context.progress(Math.min(1, done / candidates.size))
      const { opType, label } = node
      const outcome = handler.quantize(node, tools)
      if (outcome === 'done') {
        done++
        counts[opType] = (counts[opType] ?? 0) + 1
      } else if (outcome !== 'skipped')
        note({
          level: 'info',
          code: 'quantize/left-float',
          message: `${opType} stays float: ${outcome.reason}`,
          node: label,
        })
    }
  }
  visit(model.graph)
  prune(leftovers)
  // ONNX Runtime would warn of constants that nobody reads, at every start.
  prune(tools.weights.spread)
  if (done === 0) model.opsets.set('', opset)
  return { changes: done + inlined, data: { quantized: counts } }
}

function key(domain: string, op: string): string {
  return `${domain}:${op}`
}

function noteNeverQuantized(model: Model, options: DynamicOptions, { note }: PassContext): void {
  if (options.ops?.length) return
  for (const node of model.graph.allNodes())
    if (node.domain === '' && NEVER.includes(node.opType))
      note({
        level: 'info',
        code: 'quantize/left-float',
        message: `${node.opType} stays float: ONNX Runtime has no quantized form of it`,
        node: node.label,
      })
}

/** Raises the operator set so that DynamicQuantizeLinear is there, where that changes nothing else. */
function raiseOpset(model: Model, { note }: PassContext): boolean {
  const blockers = blockersOf(model, LEAST_OPSET)
  if (blockers.length === 0) {
    model.opsets.delete('ai.onnx')
    model.opsets.set('', LEAST_OPSET)
    return true
  }
  note({
    level: 'warn',
    code: 'quantize/opset-too-old',
    message: `dynamic quantization needs opset ${LEAST_OPSET}; in opset ${model.opset} some operators mean something else (${blockers.join(', ')}): the model stays as it is`,
  })
  return false
}
