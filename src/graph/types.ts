import { codeOf, type DType, dtypeOf } from '../onnx/dtypes.ts'
import type { DimensionProto, TensorTypeProto, TypeProto } from '../onnx/proto.ts'

/** One dimension: a fixed size, the name of a dynamic one, or null when nothing is known. */
export type Dim = number | string | null

/** The type of a value. `shape` is undefined when not even the rank is known. */
export type ValueType =
  | { kind: 'tensor' | 'sparse'; dtype: DType | undefined; shape?: readonly Dim[] | undefined }
  | { kind: 'sequence' | 'optional'; element: ValueType | undefined }
  | { kind: 'map'; key: DType | undefined; value: ValueType | undefined }
  | { kind: 'opaque' }

/** A tensor type in short. */
export function tensorType(dtype: DType | undefined, shape?: readonly Dim[]): ValueType {
  return shape ? { kind: 'tensor', dtype, shape } : { kind: 'tensor', dtype }
}

function dimFrom(proto: DimensionProto): Dim {
  if (Object.hasOwn(proto, 'dimValue')) return Number(proto.dimValue)
  return proto.dimParam || null
}

function tensorFrom(kind: 'tensor' | 'sparse', proto: TensorTypeProto): ValueType {
  const dtype = dtypeOf(proto.elemType ?? 0)
  return proto.shape ? { kind, dtype, shape: (proto.shape.dim ?? []).map(dimFrom) } : { kind, dtype }
}

/** Reads a type from its wire form; undefined where the file gives none. */
export function typeFromProto(proto: TypeProto | undefined | null): ValueType | undefined {
  if (!proto) return undefined
  if (proto.tensorType) return tensorFrom('tensor', proto.tensorType)
  if (proto.sparseTensorType) return tensorFrom('sparse', proto.sparseTensorType)
  if (proto.sequenceType) return { kind: 'sequence', element: typeFromProto(proto.sequenceType.elemType) }
  if (proto.optionalType) return { kind: 'optional', element: typeFromProto(proto.optionalType.elemType) }
  if (proto.mapType)
    return { kind: 'map', key: dtypeOf(proto.mapType.keyType ?? 0), value: typeFromProto(proto.mapType.valueType) }
  return proto.opaqueType ? { kind: 'opaque' } : undefined
}

/** The wire form of a type. */
export function typeToProto(type: ValueType): TypeProto {
  const elemType = (dtype: DType | undefined): number => (dtype ? codeOf(dtype) : 0)
  const element = (inner: ValueType | undefined): { elemType?: TypeProto } =>
    inner ? { elemType: typeToProto(inner) } : {}
  switch (type.kind) {
    case 'tensor':
    case 'sparse': {
      const proto: TensorTypeProto = { elemType: elemType(type.dtype) }
      if (type.shape)
        proto.shape = {
          dim: type.shape.map((dim) =>
            typeof dim === 'number' ? { dimValue: dim } : dim === null ? {} : { dimParam: dim },
          ),
        }
      return type.kind === 'tensor' ? { tensorType: proto } : { sparseTensorType: proto }
    }
    case 'sequence':
      return { sequenceType: element(type.element) }
    case 'optional':
      return { optionalType: element(type.element) }
    case 'map':
      return { mapType: { keyType: elemType(type.key), ...(type.value ? { valueType: typeToProto(type.value) } : {}) } }
    case 'opaque':
      return { opaqueType: {} }
  }
}

/** A type in words: `tensor(float32)`, `sequence(tensor(int64))`, `map(string, tensor(float32))`. */
export function describeType(type: ValueType | undefined): string {
  if (!type) return 'unknown'
  switch (type.kind) {
    case 'tensor':
      return `tensor(${type.dtype ?? 'unknown'})`
    case 'sparse':
      return `sparse_tensor(${type.dtype ?? 'unknown'})`
    case 'sequence':
    case 'optional':
      return `${type.kind}(${describeType(type.element)})`
    case 'map':
      return `map(${type.key ?? 'unknown'}, ${describeType(type.value)})`
    case 'opaque':
      return 'opaque'
  }
}
