import { codeOf, dtypeOf } from '../../onnx/dtypes.ts'
import { encodeToBytes } from '../../onnx/encode.ts'
import type { ModelProto, TensorProto, ValueInfoProto } from '../../onnx/proto.ts'

/** Constants from this size on are left out: shapes are computed from smaller ones. */
const LARGE = 1024

/** The model with its large initializers as inputs: enough to load it, in milliseconds. */
export function skeletonBytes(proto: ModelProto): Uint8Array {
  const graph = proto.graph!
  const listed = new Set(graph.input?.map(({ name }) => name))
  const initializer: TensorProto[] = []
  const input: ValueInfoProto[] = [...(graph.input ?? [])]
  for (const tensor of graph.initializer ?? []) {
    const dtype = dtypeOf(tensor.dataType ?? 0)
    if (!dtype || dtype === 'string' || (tensor.rawData?.length ?? 0) < LARGE) initializer.push(tensor)
    else if (!listed.has(tensor.name)) {
      const dim = (tensor.dims ?? []).map((dimValue) => ({ dimValue }))
      input.push({ name: tensor.name ?? '', type: { tensorType: { elemType: codeOf(dtype), shape: { dim } } } })
    }
  }
  return encodeToBytes({ ...proto, graph: { ...graph, input, initializer } })
}
