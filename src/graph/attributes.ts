import type { Int64, SparseTensorProto, TypeProto } from '../onnx/proto.ts'
import type { Graph } from './graph.ts'
import type { Tensor } from './tensor.ts'

/** The value of a node attribute, by kind. Strings that are not valid UTF-8 come as bytes. */
export type AttributeValue =
  | { kind: 'float'; value: number }
  | { kind: 'int'; value: Int64 }
  | { kind: 'string'; value: string | Uint8Array }
  | { kind: 'tensor'; value: Tensor }
  | { kind: 'graph'; value: Graph }
  | { kind: 'sparse_tensor'; value: SparseTensorProto }
  | { kind: 'type_proto'; value: TypeProto }
  | { kind: 'floats'; value: readonly number[] }
  | { kind: 'ints'; value: readonly Int64[] }
  | { kind: 'strings'; value: readonly (string | Uint8Array)[] }
  | { kind: 'tensors'; value: readonly Tensor[] }
  | { kind: 'graphs'; value: readonly Graph[] }
  | { kind: 'sparse_tensors'; value: readonly SparseTensorProto[] }
  | { kind: 'type_protos'; value: readonly TypeProto[] }
  /** In a function body: the value of the function's attribute of this name. `type` is the code of its kind. */
  | { kind: 'reference'; value: string; type: number }

/** Attributes of a new node: `{ axis: int(1), epsilon: float(1e-5) }`. */
export type Attributes = { readonly [name: string]: AttributeValue | undefined }

export function int(value: Int64): AttributeValue {
  return { kind: 'int', value }
}
export function ints(value: readonly Int64[]): AttributeValue {
  return { kind: 'ints', value }
}
export function float(value: number): AttributeValue {
  return { kind: 'float', value: Math.fround(value) }
}
export function floats(value: readonly number[]): AttributeValue {
  return { kind: 'floats', value: value.map(Math.fround) }
}
export function string(value: string): AttributeValue {
  return { kind: 'string', value }
}
export function strings(value: readonly string[]): AttributeValue {
  return { kind: 'strings', value }
}
export function tensor(value: Tensor): AttributeValue {
  return { kind: 'tensor', value }
}
export function graph(value: Graph): AttributeValue {
  return { kind: 'graph', value }
}
