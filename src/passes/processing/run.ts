import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { nearest } from '../../params/nearest.ts'
import type { StepValue } from '../../params/spec.ts'
import { makeOverridable } from '../adapters/run.ts'
import type { Media, PassContext, PassResult } from '../pass.ts'
import { raiseOpset } from '../quantize/raise-opset.ts'
import type { Context } from './context.ts'
import type { Flow } from './flow.ts'
import { type ProcessingOptions, stepsOf } from './index.ts'
import { findInput, fitImage, fitTensor, imageInput } from './model-input.ts'
import { Operators } from './operators.ts'
import { SOUND_STEPS, steps } from './steps/index.ts'
import { type StepName, stepTable } from './table.ts'
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
  const { pre, post } = stepsOf(options)
  const inGraph = pre.filter(({ step }) => step !== 'tokens')
  const tokens = pre.find(({ step }) => step === 'tokens')
  const place = { file }
  try {
    const text = tokens && readTokens(model, tokens, file)
    if (!inGraph.length && !post.length) return { changes: 0, ...text }
    await raise(model, () => ort.inferTypes(model))
    if (post.length && model.graph.outputs.some(({ shape, dtype }) => !shape || !dtype)) await ort.inferTypes(model)
    const context: Context = { model, file, ops: new Operators(model.graph, 'preprocess', model.graph.firstNode) }
    const before = model.graph.nodeCount
    const media = { ...text?.media, ...(inGraph.length ? addBefore(inGraph, context) : {}) }
    if (post.length) {
      context.ops = new Operators(model.graph, 'postprocess')
      addAfter(post, context)
      await ort.inferTypes(model)
    }
    dropUnused(model.graph)
    return { changes: model.graph.nodeCount - before + post.length, ...text, media }
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

/** Runs the steps one after the other. */
function chain(list: readonly StepValue[], start: readonly Flow[], context: Context): readonly Flow[] {
  return list.reduce<readonly Flow[]>((flows, { step, ...given }) => {
    const { params } = stepTable[step]!
    const args = Object.fromEntries(Object.entries(params).map(([key, spec]) => [key, given[key] ?? spec.default]))
    const chosen = typeof args['output'] === 'string' ? outputFirst(flows, args['output']) : flows
    return steps[step as StepName](chosen, args, context, step)
  }, start)
}

/** Puts the steps before the model, whose input then takes pixels or samples under the same name. */
function addBefore(list: readonly StepValue[], context: Context): Record<string, Media> {
  const { graph } = context.model
  const isSound = SOUND_STEPS.has(list[0]!.step)
  const name = list.map((step) => step['input']).find((input) => input !== undefined)
  const target = findInput(context.model, name, isSound ? 'sound' : 'image')
  const index = graph.inputs.indexOf(target)
  graph.removeInput(target)
  const input = graph.addInput(
    target.name,
    isSound
      ? tensorType('float32', ['samples'])
      : tensorType('uint8', ['image_height', 'image_width', 'image_channels']),
    index,
  )
  const by = 'the image'
  const start: Flow = isSound
    ? { kind: 'sound', value: input, dtype: 'float32', by: 'the sound' }
    : { kind: 'image', value: input, dtype: 'uint8', layout: 'HWC', batch: false, channels: 'rgba', by }
  if (start.kind === 'image') {
    context.original = start
    context.target = imageInput(target)
  }
  const [result] = chain(list, [start], context)
  const value = result!.kind === 'image' ? fitImage(result!, target, context) : fitTensor(result!, target, context)
  target.replaceUses(value)
  graph.outputs.forEach((output, i) => {
    if (output === target) graph.setOutput(i, value)
  })
  const rate = list.map((step) => step['sampleRate']).find((given) => given !== undefined) ?? 16000
  return { [input.name]: isSound ? { kind: 'sound', sampleRate: rate as number } : { kind: 'image' } }
}

/** Puts the steps after the model: they take its outputs in order, and what comes out takes their place. */
function addAfter(list: readonly StepValue[], context: Context): void {
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
  for (const flow of flows) graph.addOutput(named(flow, own, kept, context))
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

/**
 * The flows with this output of the model first.
 *
 * @throws OnnxError `PROCESSING_OUTPUT`
 */
function outputFirst(flows: readonly Flow[], name: string): readonly Flow[] {
  const found = flows.find((flow) => flow.name === name)
  if (found) return [found, ...flows.filter((flow) => flow !== found)]
  const names = flows.flatMap((flow) => flow.name ?? [])
  const near = nearest(name, names)
  throw new OnnxError('PROCESSING_OUTPUT', `the model has no output "${name}"`, {
    hint: `${near ? `Did you mean "${near}"? ` : ''}Its outputs: ${names.join(', ')}.`,
  })
}
