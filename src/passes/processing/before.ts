import { graph as graphAttribute, int } from '../../graph/attributes.ts'
import { Graph } from '../../graph/graph.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import type { StepValue } from '../../params/spec.ts'
import type { Media } from '../pass.ts'
import { chain, isAwaited } from './chain.ts'
import type { Context } from './context.ts'
import { type Flow, type Image, mismatch } from './flow.ts'
import { findInput, fitImage, fitTensor, imageInput, inputsOf } from './model-input.ts'
import { Operators } from './operators.ts'
import { SOUND_STEPS } from './steps/index.ts'

/** Height, width and channels of the smallest image that every step takes: what a model is warmed up with. */
const SMALLEST = 3
const SAMPLE_RATE = 16_000

/**
 * Puts the steps before the model, whose inputs then take pixels or samples under the same names. A step with another `input` than
 * those before it begins anew, for that one; steps after the model know the first image.
 */
export function addBefore(list: readonly StepValue[], context: Context): Record<string, Media> {
  const [first, ...others] = byInput(list)
  const { ops, model, file, given, awaited, shown } = context
  return Object.assign(
    stepsBefore(first!, context),
    ...others.map((steps) => stepsBefore(steps, { ops, model, file, given, awaited, shown })),
  )
}

/** The steps of each input, in order. */
function byInput(list: readonly StepValue[]): StepValue[][] {
  const groups: { steps: StepValue[]; input?: unknown }[] = [{ steps: [] }]
  for (const step of list) {
    const { input } = step
    const last = groups.at(-1)!
    if (input !== undefined && last.input !== undefined && input !== last.input) groups.push({ steps: [step], input })
    else {
      last.steps.push(step)
      last.input ??= input
    }
  }
  return groups.map(({ steps }) => steps)
}

function stepsBefore(list: readonly StepValue[], context: Context): Record<string, Media> {
  const isSound = SOUND_STEPS.has(list[0]!.step)
  const name = list.map((step) => step['input']).find((input) => input !== undefined)
  const target = findInput(context.model, name, isSound ? 'sound' : 'image')
  if (isSound) return soundBefore(list, target, context)
  context.target = imageInput(target)
  return list.some((step) => step['batch'] === true)
    ? imagesBefore(list, target, context)
    : imageBefore(list, target, context)
}

function soundBefore(list: readonly StepValue[], target: Value, context: Context): Record<string, Media> {
  const input = replaceInput(target, context, ['samples'])
  connectAll(
    chain(list, [{ kind: 'sound', value: input, dtype: 'float32', by: 'the sound' }], context),
    input,
    target,
    context,
  )
  const rate = list.map((step) => step['sampleRate']).find((given) => given !== undefined) ?? SAMPLE_RATE
  const { least } = context
  return { [input.name]: { kind: 'sound', sampleRate: rate as number, ...(least ? { least } : {}) } }
}

function imageBefore(list: readonly StepValue[], target: Value, context: Context): Record<string, Media> {
  const input = replaceInput(target, context, ['image_height', 'image_width', 'image_channels'])
  const start = imageOf(input)
  context.original = start
  connectAll(chain(list, [start], context), input, target, context)
  return { [input.name]: { kind: 'image', least: SMALLEST } }
}

/**
 * Several images of any sizes: their bytes one after the other, and height, width and channels of each as a second input. The steps
 * are the body of a Scan over these.
 */
function imagesBefore(list: readonly StepValue[], target: Value, context: Context): Record<string, Media> {
  const { model, ops } = context
  const { graph } = model
  const batch = target.shape?.length === 4 ? target.shape[0] : 1
  if (batch === 1)
    throw mismatch(
      list[0]!.step,
      `is to read several images, and the input "${target.name}" of the model takes one at once`,
    )
  const input = replaceInput(target, context, ['bytes'])
  const sizes = graph.addInput(
    model.names.fresh(`${target.name}_sizes`),
    tensorType('int64', ['images', 3]),
    graph.inputs.indexOf(input) + 1,
  )
  const before = graph.firstNode
  const scan = graph.insert(
    {
      op: 'Scan',
      inputs: [ops.ints([0]), sizes],
      attributes: { num_scan_inputs: int(1) },
      name: 'preprocess/Scan',
      outputs: 2,
    },
    before ? { before } : {},
  )
  const body = new Graph(model, 'each_image', scan)
  scan.attributes.set('body', graphAttribute(body))
  const offset = body.addInput(model.names.fresh('preprocess/offset'), tensorType('int64', [1]))
  const size = body.addInput(model.names.fresh('preprocess/size'), tensorType('int64', [3]))
  const inner = new Operators(body, 'preprocess')
  // Zeros are what a session is warmed up with.
  const least = inner.ints([SMALLEST, SMALLEST, SMALLEST])
  const shape = inner.op('Where', [inner.op('Greater', [size, [0]]), size, least])
  const end = inner.op('Add', [offset, inner.op('ReduceProd', [shape], { keepdims: 1 })])
  const pixels = inner.op('Reshape', [inner.op('Slice', [input, offset, end, [0]]), shape])
  context.several = true
  const each: Context = { ...context, ops: inner, given: new Map(), shown: [] }
  const [result, ...others] = chain(list, [imageOf(pixels)], each)
  if (result?.kind !== 'image' || others.length)
    throw mismatch(list.at(-1)!.step, 'has to give one image, where several are read')
  if (!result.height || !result.width)
    throw mismatch(result.by, 'gives images of several sizes, and the model takes one size for all', 'Set a size.')
  if (each.shown.length) throw mismatch('debug', 'shows nothing where several images are read', 'Leave out batch.')
  body.addOutput(end)
  body.addOutput(fitImage(result, target, each, true))
  target.replaceUses(scan.outputs[1]!)
  return { [input.name]: { kind: 'image', least: SMALLEST ** 3, sizes: sizes.name } }
}

function imageOf(value: Value): Image {
  return { kind: 'image', value, dtype: 'uint8', layout: 'HWC', batch: false, channels: 'rgba', by: 'the image' }
}

/** A new input in the place and with the name of another. */
function replaceInput(target: Value, { model: { graph } }: Context, dims: readonly string[]): Value {
  const index = graph.inputs.indexOf(target)
  graph.removeInput(target)
  return graph.addInput(target.name, tensorType(dims[0] === 'samples' ? 'float32' : 'uint8', [...dims]), index)
}

/** Lets the model read what the steps give: the first in place of the input, others in place of those after it. */
function connectAll([result, ...rest]: readonly Flow[], input: Value, target: Value, context: Context): void {
  const { model, planes } = context
  connect(result!, target, context)
  const others = rest.filter((flow) => flow !== planes?.cb && flow !== planes?.cr && !isAwaited(flow, context))
  const free = inputsOf(model).slice(inputsOf(model).indexOf(input) + 1)
  others.forEach((flow, i) => {
    const next = free[i]
    if (!next)
      throw mismatch(
        flow.by,
        `gives ${others.length + 1} tensors, and the model has ${free.length + 1} inputs from "${input.name}" on`,
      )
    model.graph.removeInput(next)
    connect(flow, next, context)
  })
}

/** Lets what read an input of the model read what the steps give. */
function connect(flow: Flow, target: Value, context: Context): void {
  const { graph } = context.model
  const value = flow.kind === 'image' ? fitImage(flow, target, context) : fitTensor(flow, target, context)
  target.replaceUses(value)
  graph.outputs.forEach((output, i) => {
    if (output === target) graph.setOutput(i, value)
  })
}
