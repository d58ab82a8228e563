import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { raiseOpset } from '../../graph/opset/raise.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { StepValue } from '../../params/spec.ts'
import { makeOverridable } from '../adapters/run.ts'
import type { PassContext, PassResult, ResultShape } from '../pass.ts'
import { addBefore } from './before.ts'
import { awaitedBy, chain, withDims } from './chain.ts'
import type { Context } from './context.ts'
import type { Flow } from './flow.ts'
import { type ProcessingOptions, stepsOf } from './index.ts'
import { Operators } from './operators.ts'
import { readTokens } from './tokens.ts'

/** Antialiased Resize is there from here on, and what the steps need. */
const WANTED_OPSET = 18
/** Shape of some dimensions, and sizes as inputs. */
const LEAST_OPSET = 15

/**
 * Adds the steps to the graph.
 *
 * @throws OnnxError `PROCESSING_STEPS` where two steps, or a step and the model, do not fit; `PROCESSING_INPUT`,
 * `PROCESSING_OUTPUT`, `PROCESSING_SIZE`, `PROCESSING_OPSET`, `LABELS_INVALID`, `TOKENIZER_INVALID`, `TOKENIZER_VOCABULARY`
 */
export async function run(
  model: Model,
  options: ProcessingOptions,
  { ort, file }: Pick<PassContext, 'ort' | 'file'>,
): Promise<PassResult> {
  const given = stepsOf(options)
  const pre = withDims(given.pre, model)
  const inGraph = pre.filter(({ step }) => step !== 'tokens')
  const tokens = pre.find(({ step }) => step === 'tokens')
  const place = { file }
  try {
    const read = tokens && readTokens(model, tokens, file)
    const text = read && { tokenizer: read.tokenizer, media: read.media }
    if (!inGraph.length && !given.post.length) return { changes: 0, ...text }
    await raise(model, () => ort.inferTypes(model))
    if (given.post.length && model.graph.outputs.some(({ shape, dtype }) => !shape || !dtype))
      await ort.inferTypes(model)
    const post = withDims(given.post, model)
    const context: Context = {
      model,
      file,
      ops: new Operators(model.graph, 'preprocess', model.graph.firstNode),
      separator: read?.separator,
      given: new Map(),
      awaited: awaitedBy([...pre, ...post]),
      shown: [],
    }
    const before = model.graph.nodeCount
    let result: ResultShape | undefined
    const media = { ...text?.media, ...(inGraph.length ? addBefore(inGraph, context) : {}) }
    if (post.length) {
      context.ops = new Operators(model.graph, 'postprocess')
      result = addAfter(post, context)
    }
    for (const flow of context.shown) model.graph.addOutput(named(flow, [], new Set(model.graph.outputs), context))
    // Positions of tokens are no answer without the text.
    if (result?.kind === 'answer' && !text) result = undefined
    if (post.length || context.shown.length) await ort.inferTypes(model)
    dropUnused(model.graph)
    return { changes: model.graph.nodeCount - before + post.length, ...text, media, ...(result ? { result } : {}) }
  } catch (error) {
    throw error instanceof OnnxError ? error.at(place) : error
  }
}

async function raise(model: Model, infer: () => Promise<unknown>): Promise<void> {
  if (model.opset >= WANTED_OPSET) return
  await infer()
  makeOverridable(model)
  const blockers = raiseOpset(model, WANTED_OPSET)
  if (blockers.length && model.opset < LEAST_OPSET)
    throw new OnnxError('PROCESSING_OPSET', `steps need opset ${LEAST_OPSET}, and the model has ${model.opset}`, {
      hint: `It can't be raised: ${blockers.join(', ')} would mean something else. Export the model with opset ${WANTED_OPSET}.`,
    })
}

/** Puts the steps after the model: they take its outputs in order, and what comes out takes their place. */
function addAfter(list: readonly StepValue[], context: Context): ResultShape | undefined {
  const { graph } = context.model
  const own = [...graph.outputs]
  const start = own.map(
    (value): Flow => ({
      kind: 'tensor',
      value,
      dtype: value.dtype,
      shape: value.shape,
      by: `the output "${value.name}" of the model`,
      name: value.name,
    }),
  )
  const flows = chain(list, start, context)
  for (let i = own.length - 1; i >= 0; i--) graph.removeOutput(i)
  const kept = new Set(flows.map(({ value }) => value))
  const values = flows.map((flow) => named(flow, own, kept, context))
  for (const value of values) graph.addOutput(value)
  return resultOf(flows, values)
}

/** Outputs that together are something to callers: all of these, and perhaps others. */
const RESULTS: readonly [kind: ResultShape['kind'], needs: readonly string[], takes: readonly string[]][] = [
  ['detections', ['boxes', 'classes', 'scores'], ['labels', 'keypoints']],
  ['classes', ['classes', 'scores'], ['labels']],
  ['answer', ['start', 'end', 'score'], []],
  ['image', ['image'], []],
]

function resultOf(flows: readonly Flow[], values: readonly Value[]): ResultShape | undefined {
  const isPicture = (flow: Flow) =>
    flow.kind === 'image' && flow.dtype === 'uint8' && flow.layout === 'HWC' && !flow.batch && flow.channels !== 'bgr'
  const meanings = new Map<string, string>()
  flows.forEach((flow, i) => {
    const meaning = flow.kind === 'tensor' ? flow.means : isPicture(flow) ? 'image' : undefined
    if (meaning && !meanings.has(meaning)) meanings.set(meaning, values[i]!.name)
  })
  const found = RESULTS.find(([, needs]) => needs.every((meaning) => meanings.has(meaning)))
  if (!found) return undefined
  const [kind, needs, takes] = found
  const outputs = [...needs, ...takes].flatMap((meaning) =>
    meanings.has(meaning) ? [[meaning, meanings.get(meaning)!]] : [],
  )
  return { kind, outputs: Object.fromEntries(outputs) }
}

/** The value of a flow under the name that callers see. */
function named(flow: Flow, own: readonly Value[], kept: ReadonlySet<Value>, { model, ops }: Context): Value {
  const wish = flow.name ?? (flow.kind === 'image' ? 'image' : 'output')
  if (flow.value.name === wish && !flow.value.isInput) return flow.value
  const free = flow.value.producer && !flow.value.isOutput && !own.includes(flow.value)
  const value = free ? flow.value : ops.op('Identity', [flow.value])
  const holder = valueNamed(wish, model)
  const isTaken = holder && (holder.isInput || kept.has(holder))
  // Names of values inside are nobody's business; those of inputs and other outputs are.
  if (holder && !isTaken) holder.name = model.names.fresh(`${wish}_inner`)
  model.names.reserve(wish)
  value.name = isTaken ? model.names.fresh(wish) : wish
  value.type ??= tensorType(flow.dtype)
  return value
}

/** Removes what steps computed for others that are not there, such as where in the original a pixel was. */
function dropUnused(graph: Graph): void {
  for (let node = graph.lastNode; node; ) {
    const previous: Node | undefined = node.previous
    const own = /^(pre|post)process\//.test(node.name)
    if (own && node.outputs.every((value) => !value || value.isUnused)) graph.remove(node)
    else for (const body of own ? node.subgraphs : []) dropUnused(body)
    node = previous
  }
  for (const value of [...graph.initializers])
    if (/^(pre|post)process\//.test(value.name) && value.isUnused) graph.removeInitializer(value)
}

function valueNamed(name: string, { graph }: Model): Value | undefined {
  for (const value of [...graph.inputs, ...graph.initializers]) if (value.name === name) return value
  for (const node of graph.nodes()) for (const value of node.outputs) if (value?.name === name) return value
  return undefined
}
