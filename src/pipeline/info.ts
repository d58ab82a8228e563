import type { Model } from '../graph/model.ts'
import { describeType } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import type { IoInfo, ModelInfo } from './types.ts'

/** What the users of a model need to know of it. Initializers that may be overridden are no inputs for them. */
export function modelInfo(model: Model): ModelInfo {
  return {
    inputs: model.graph.inputs.filter(({ tensor, sparse }) => !tensor && !sparse).map(ioInfo),
    outputs: model.graph.outputs.map(ioInfo),
    opsets: Object.fromEntries(model.opsets),
    irVersion: model.irVersion,
    producer: [model.extra.producerName, model.extra.producerVersion].filter(Boolean).join(' '),
    metadata: Object.fromEntries(model.metadata),
    ops: model.histogram(),
  }
}

function ioInfo({ name, dtype, shape, type }: Value): IoInfo {
  const info: IoInfo = { name, type: describeType(type) }
  if (dtype) info.dtype = dtype
  if (shape) info.shape = [...shape]
  return info
}
