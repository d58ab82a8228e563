import type { Model } from '../graph/model.ts'
import { describeType } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import { codeOf } from '../onnx/dtypes.ts'
import type { Media, ResultShape } from '../passes/pass.ts'
import type { IoInfo, ModelInfo } from './types.ts'

/** What the users of a model need to know of it. Before IR version 4 initializers are listed as inputs, but are none. */
export function modelInfo(
  model: Model,
  adapterInputs: readonly string[] = [],
  { media = {}, result }: { media?: Readonly<Record<string, Media>>; result?: ResultShape | undefined } = {},
): ModelInfo {
  const isAdapter = ({ name }: Value) => adapterInputs.includes(name)
  return {
    inputs: model.graph.inputs
      .filter((value) => (!hasDefault(value) || model.initializersAreOverridable) && !isAdapter(value))
      .map((value) => ({
        ...ioInfo(value),
        ...(hasDefault(value) ? { optional: true } : {}),
        ...(Object.hasOwn(media, value.name) ? { media: media[value.name]! } : {}),
      })),
    ...(adapterInputs.length ? { adapterInputs: model.graph.inputs.filter(isAdapter).map(ioInfo) } : {}),
    outputs: model.graph.outputs.map(ioInfo),
    ...(result ? { result } : {}),
    opsets: Object.fromEntries(model.opsets),
    irVersion: model.irVersion,
    producer: [model.extra.producerName, model.extra.producerVersion].filter(Boolean).join(' '),
    metadata: Object.fromEntries(model.metadata),
    ops: model.histogram(),
    ...(computesInHalf(model) ? { float16: true } : {}),
  }
}

/** Whether float16 occurs anywhere: weights, inputs, outputs, or Casts to it. */
function computesInHalf(model: Model): boolean {
  const isHalf = (value: Value | null | undefined) => value?.dtype === 'float16' || value?.tensor?.dtype === 'float16'
  return [...model.allGraphs()].some(
    (graph) =>
      [...graph.inputs, ...graph.outputs, ...graph.initializers].some(isHalf) ||
      [...graph.nodes()].some(
        (node) => node.outputs.some(isHalf) || (node.is('Cast') && node.int('to', 0) === codeOf('float16')),
      ),
  )
}

function hasDefault({ tensor, sparse }: Value): boolean {
  return tensor !== undefined || sparse !== undefined
}

function ioInfo({ name, dtype, shape, type }: Value): IoInfo {
  const info: IoInfo = { name, type: describeType(type) }
  if (dtype) info.dtype = dtype
  if (shape) info.shape = [...shape]
  return info
}
