import { encodeModel } from '../../onnx/encode.ts'
import type { ModelProto } from '../../onnx/proto.ts'

/** Bytes that a model takes with its weights, also beyond the limit of one file. */
export function sizeOf(proto: ModelProto): number {
  let weights = 0
  const initializer = proto.graph!.initializer?.map((tensor) => {
    if (!tensor.rawData || tensor.rawData.length < 1024) return tensor
    weights += tensor.rawData.length
    return { ...tensor, rawData: new Uint8Array() }
  })
  return weights + encodeModel({ ...proto, graph: { ...proto.graph!, initializer: initializer ?? [] } }).length
}
