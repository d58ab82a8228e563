import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import { raiseOpset } from '../../../graph/opset/raise.ts'
import type { Value } from '../../../graph/value.ts'
import type { PassContext, PassResult } from '../../pass.ts'
import { isAlreadyQuantized } from '../already.ts'
import { balance } from '../balance/index.ts'
import { openData } from '../calibrate/data/index.ts'
import { inlineQuantizable } from '../functions.ts'
import type { Part } from '../part.ts'
import { type Aliases, byName, selector, wantsType } from '../select.ts'
import { findWeight, prune } from '../weight.ts'
import { quantizeOnData } from './gptq/index.ts'
import type { WeightOptions } from './index.ts'
import { Jobs } from './jobs.ts'
import { chooseSensitive } from './mixed.ts'
import { gather } from './ops/gather.ts'
import { gemm } from './ops/gemm.ts'
import { matMul } from './ops/matmul.ts'
import type { Handler, Planned, Tools } from './tools.ts'

/** DequantizeLinear has blocks from here on. */
const BLOCKS_OPSET = 21

const HANDLERS: readonly Handler[] = [matMul, gemm, gather]

/** Quantizes the weights of a model in place. See `weightQuantization`. */
export async function run(
  model: Model,
  options: WeightOptions,
  context: PassContext,
  part?: Part,
): Promise<PassResult> {
  const { note } = context
  if (!part && isAlreadyQuantized(model, note)) return { changes: 0 }
  const supported = HANDLERS.map(({ op }) => op)
  const needsOpset = options.quantize === 'weights' && options.weightFormat === 'qdq' && model.opset < BLOCKS_OPSET
  const isQuantizable = ({ domain, opType }: Node): boolean =>
    domain === '' && supported.includes(opType) && wantsType(opType, options)
  // Functions keep the operator sets that they were written for: none may be left where the model's is raised.
  const { inlined, aliases } = inlineQuantizable(model, needsOpset ? () => true : isQuantizable, context, part)
  const isSelected = selector(model, options, supported, note, part, aliases)
  const handlers = new Map(HANDLERS.map((handler) => [handler.op, handler]))
  const candidates = [...model.graph.allNodes()].filter(
    (node) => node.domain === '' && handlers.has(node.opType) && isSelected(node),
  )
  if (needsOpset || candidates.some(hasHighRank)) {
    // What graphs say of their results stays as it was declared.
    const declared = [...model.allGraphs()].flatMap(({ outputs }) =>
      outputs.map((value) => ({ value, type: value.type })),
    )
    await context.ort.inferTypes(model)
    for (const { value, type } of declared) value.type = type
  }
  let smoothed = 0
  if (options.smoothAlpha !== undefined && options.calibration && !part) {
    await context.ort.inferTypes(model)
    const data = openData(model, { ...options, calibration: options.calibration })
    smoothed = await balance(model, candidates, { smoothAlpha: options.smoothAlpha, equalize: false }, data, context)
  }
  const tied = tiedTables(candidates)
  const tools: Tools = {
    options: {
      ...options,
      bits: options.bits as 2 | 4 | 8,
      blockSize: options.blockSize ?? (options.quantize === 'bnb4' ? 64 : 32),
    },
    device: context.device,
    jobs: new Jobs(options, part),
    tied,
    sensitive: new Set([
      ...sensitiveWeights(candidates, options, tied),
      ...namedWeights(model, candidates, options, note, aliases),
    ]),
    readers: new Map(),
    shared: new Map(),
    leftovers: new Set(),
  }
  const leave = (node: Node, reason: string): void =>
    note({
      level: 'info',
      code: 'quantize/left-float',
      message: `${node.opType} stays float: ${reason}`,
      node: node.label,
    })
  const planned: { node: Node; plan: Planned }[] = []
  for (const node of candidates) {
    const outcome = handlers.get(node.opType)!.plan(node, tools)
    if (outcome === 'skipped') continue
    if ('reason' in outcome) leave(node, outcome.reason)
    else planned.push({ node, plan: outcome })
  }
  if (needsOpset && planned.length) {
    const blockers = raiseOpset(model, BLOCKS_OPSET)
    if (blockers.length) {
      note({
        level: 'warn',
        code: 'quantize/opset-too-old',
        message: `blocks for DequantizeLinear need opset ${BLOCKS_OPSET}, and ${blockers.join(', ')} of opset ${model.opset} cannot be raised: the model stays as it is (weight_format=nbits needs no opset)`,
      })
      return { changes: inlined }
    }
  }
  const damping = options.algorithm === 'gptq' ? await onData(model, planned, options, context, part) : undefined
  await tools.jobs.run(context)
  tools.jobs.keep()
  const counts: Record<string, number> = {}
  let done = 0
  for (const { node, plan } of planned) {
    if (!plan.job.result) {
      leave(node, 'its weight has values that are not finite')
      continue
    }
    counts[node.opType] = (counts[node.opType] ?? 0) + 1
    done++
    plan.emit()
  }
  prune(tools.leftovers)
  return {
    changes: done + smoothed + inlined,
    data: { quantized: counts, ...(damping === undefined ? {} : { damping }) },
  }
}

/** Quantizes weights of products on calibration data; says which are left to a search without data. Gives the damping it took. */
async function onData(
  model: Model,
  planned: readonly { node: Node; plan: Planned }[],
  options: WeightOptions,
  context: PassContext,
  part: Part | undefined,
): Promise<number | undefined> {
  const isTable = ({ opType }: Node): boolean => opType === 'Gather'
  const tables = new Set(planned.flatMap(({ node, plan }) => (isTable(node) ? [plan.job] : [])))
  const products = planned.flatMap(({ node, plan: { job } }) =>
    isTable(node) || tables.has(job) ? [] : [{ node, job }],
  )
  const data = openData(model, { ...options, calibration: options.calibration! })
  const damping = await quantizeOnData(model, products, part ? part.samples(data) : data, context)
  for (const { node, job } of products)
    if (!job.result)
      context.note({
        level: 'info',
        code: 'quantize/without-data',
        message: `the weight of ${node.opType} is quantized without data: its input was not seen, or another node reads the weight too`,
        node: node.label,
      })
  return damping
}

/** Weights that get 8 bits where others get 4. */
function sensitiveWeights(
  candidates: readonly Node[],
  { quantize, bits, blockSize = 32, mixedBits, scaleType, weightFormat, embeddings }: WeightOptions,
  tied: ReadonlySet<Value>,
): ReadonlySet<Value> {
  if (quantize !== 'weights' || bits !== 4 || !mixedBits || scaleType !== 'float16' || weightFormat !== 'nbits')
    return new Set()
  const roots = new Set<Value>()
  const tables = new Set<Value>()
  for (const node of candidates) {
    const root = findWeight(node.input(node.opType === 'Gather' ? 0 : 1))?.root
    if (root && (node.opType !== 'Gather' || embeddings || tied.has(root))) roots.add(root)
    if (root && node.opType === 'Gather') tables.add(root)
  }
  const total = [...roots].reduce((sum, root) => sum + root.constant!.elementCount, 0)
  const products = candidates.filter(({ opType }) => opType !== 'Gather')
  return chooseSensitive(products, total, blockSize, (root) => tables.has(root))
}

/** Weights of products that the user wants 8 bits for. A table that is gathered from keeps its 4. */
function namedWeights(
  model: Model,
  candidates: readonly Node[],
  { eightBitNodes }: WeightOptions,
  note: PassContext['note'],
  aliases: Aliases,
): Set<Value> {
  const isNamed = byName(model, 'eightBitNodes', eightBitNodes, note, aliases)
  const weightOf = (node: Node, index: number): Value[] => {
    const root = findWeight(node.input(index))?.root
    return root ? [root] : []
  }
  const roots = new Set(
    candidates.flatMap((node) => (node.opType !== 'Gather' && isNamed(node) ? weightOf(node, 1) : [])),
  )
  for (const node of candidates) if (node.opType === 'Gather') for (const root of weightOf(node, 0)) roots.delete(root)
  return roots
}

/** True for products with a weight of more than two axes: their rewrite depends on the rank of the other side. */
function hasHighRank(node: Node): boolean {
  return node.opType === 'MatMul' && (findWeight(node.input(1))?.tensor.dims.length ?? 0) > 2
}

/** Tables that a Gather reads by rows and a product reads transposed. */
function tiedTables(candidates: Iterable<Node>): Set<Value> {
  const gathered = new Set<Value>()
  const multiplied = new Set<Value>()
  for (const node of candidates) {
    if (node.opType === 'Gather') {
      const found = findWeight(node.input(0))
      if (found && !found.transposed && found.tensor.dims.length === 2 && node.int('axis', 0) === 0)
        gathered.add(found.root)
    } else if (node.opType === 'MatMul' || node.opType === 'Gemm') {
      const found = findWeight(node.input(1))
      const transposed = found && found.transposed !== (node.opType === 'Gemm' && node.int('transB', 0) !== 0)
      if (transposed) multiplied.add(found.root)
    }
  }
  return new Set([...gathered].filter((root) => multiplied.has(root)))
}
