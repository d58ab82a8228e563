import type { ByteSource } from './bytes.ts'

/** A 64-bit integer: a number where it is exact, a bigint beyond 2^53. */
export type Int64 = number | bigint

/** Fields that this schema does not know, kept as they came (tag included). */
interface WithUnknowns {
  $unknowns?: Uint8Array[]
}

export interface EntryProto extends WithUnknowns {
  key?: string
  value?: string
}
export interface TensorProto extends WithUnknowns {
  dims?: Int64[]
  dataType?: number
  segment?: Uint8Array
  floatData?: Uint8Array[]
  int32Data?: Uint8Array[]
  stringData?: Uint8Array[]
  int64Data?: Uint8Array[]
  name?: string
  docString?: string
  rawData?: Uint8Array | ByteSource
  externalData?: EntryProto[]
  dataLocation?: number
  doubleData?: Uint8Array[]
  uint64Data?: Uint8Array[]
  metadataProps?: EntryProto[]
  slice?: number
}
export interface SparseTensorProto extends WithUnknowns {
  values?: TensorProto
  indices?: TensorProto
  dims?: Int64[]
}
export interface DimensionProto extends WithUnknowns {
  dimValue?: Int64
  dimParam?: string
  denotation?: string
}
export interface TensorTypeProto extends WithUnknowns {
  elemType?: number
  shape?: { dim?: DimensionProto[] } & WithUnknowns
}
export interface TypeProto extends WithUnknowns {
  tensorType?: TensorTypeProto
  sequenceType?: { elemType?: TypeProto } & WithUnknowns
  mapType?: { keyType?: number; valueType?: TypeProto } & WithUnknowns
  optionalType?: { elemType?: TypeProto } & WithUnknowns
  sparseTensorType?: TensorTypeProto
  opaqueType?: { domain?: string; name?: string } & WithUnknowns
  denotation?: string
}
export interface ValueInfoProto extends WithUnknowns {
  name?: string
  type?: TypeProto
  docString?: string
  metadataProps?: EntryProto[]
}
export interface AttributeProto extends WithUnknowns {
  name?: string
  refAttrName?: string
  docString?: string
  type?: number
  f?: number
  i?: Int64
  s?: Uint8Array
  t?: TensorProto
  g?: GraphProto
  sparseTensor?: SparseTensorProto
  tp?: TypeProto
  floats?: number[]
  ints?: Int64[]
  strings?: Uint8Array[]
  tensors?: TensorProto[]
  graphs?: GraphProto[]
  sparseTensors?: SparseTensorProto[]
  typeProtos?: TypeProto[]
}
export interface NodeProto extends WithUnknowns {
  input?: string[]
  output?: string[]
  name?: string
  opType?: string
  domain?: string
  overload?: string
  attribute?: AttributeProto[]
  docString?: string
  metadataProps?: EntryProto[]
  deviceConfigurations?: Uint8Array[]
}
export interface GraphProto extends WithUnknowns {
  node?: NodeProto[]
  name?: string
  initializer?: TensorProto[]
  sparseInitializer?: SparseTensorProto[]
  docString?: string
  input?: ValueInfoProto[]
  output?: ValueInfoProto[]
  valueInfo?: ValueInfoProto[]
  quantizationAnnotation?: Uint8Array[]
  metadataProps?: EntryProto[]
}
export interface OperatorSetIdProto extends WithUnknowns {
  domain?: string
  version?: Int64
}
export interface FunctionProto extends WithUnknowns {
  name?: string
  input?: string[]
  output?: string[]
  attribute?: string[]
  attributeProto?: AttributeProto[]
  node?: NodeProto[]
  docString?: string
  opsetImport?: OperatorSetIdProto[]
  domain?: string
  overload?: string
  valueInfo?: ValueInfoProto[]
  metadataProps?: EntryProto[]
}
export interface ModelProto extends WithUnknowns {
  irVersion?: Int64
  opsetImport?: OperatorSetIdProto[]
  producerName?: string
  producerVersion?: string
  domain?: string
  modelVersion?: Int64
  docString?: string
  graph?: GraphProto
  metadataProps?: EntryProto[]
  trainingInfo?: Uint8Array[]
  functions?: FunctionProto[]
  configuration?: Uint8Array[]
}
