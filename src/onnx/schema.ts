/** How a field's value lies on the wire; any other name in the schema is that of a message. */
export type Scalar = 'string' | 'bytes' | 'int32' | 'uint32' | 'int64' | 'float'

/** Fields of a message by name: number, type, and whether it is repeated. */
type MessageSchema = Readonly<Record<string, readonly [id: number, type: string, repeated?: true]>>

const REPEATED = true

/**
 * The ONNX wire schema (field numbers and types as published with IR version 14), written for this project: messages, their
 * fields by name, each with number, type, and whether it is repeated. Fields are written in this order, that of their numbers.
 *
 * Differences from the published file are deliberate and keep the wire format: the packed number lists of TensorProto are
 * declared as bytes, because a packed list and a byte string look the same on the wire and old-style weights then decode
 * without a JS number per element (they are repeated so that a list split into several chunks stays whole), and enums are
 * plain int32 so that unknown values survive. `slice` does not exist in ONNX: the file reader puts it in the place of
 * weights that it leaves in the file.
 */
export const SCHEMA: Readonly<Record<string, MessageSchema>> = {
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'TensorProto'],
    g: [6, 'GraphProto'],
    floats: [7, 'float', REPEATED],
    ints: [8, 'int64', REPEATED],
    strings: [9, 'bytes', REPEATED],
    tensors: [10, 'TensorProto', REPEATED],
    graphs: [11, 'GraphProto', REPEATED],
    docString: [13, 'string'],
    tp: [14, 'TypeProto'],
    typeProtos: [15, 'TypeProto', REPEATED],
    type: [20, 'int32'],
    refAttrName: [21, 'string'],
    sparseTensor: [22, 'SparseTensorProto'],
    sparseTensors: [23, 'SparseTensorProto', REPEATED],
  },
  ValueInfoProto: {
    name: [1, 'string'],
    type: [2, 'TypeProto'],
    docString: [3, 'string'],
    metadataProps: [4, 'EntryProto', REPEATED],
  },
  NodeProto: {
    input: [1, 'string', REPEATED],
    output: [2, 'string', REPEATED],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'AttributeProto', REPEATED],
    docString: [6, 'string'],
    domain: [7, 'string'],
    overload: [8, 'string'],
    metadataProps: [9, 'EntryProto', REPEATED],
    deviceConfigurations: [10, 'bytes', REPEATED],
  },
  ModelProto: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    producerVersion: [3, 'string'],
    domain: [4, 'string'],
    modelVersion: [5, 'int64'],
    docString: [6, 'string'],
    graph: [7, 'GraphProto'],
    opsetImport: [8, 'OperatorSetIdProto', REPEATED],
    metadataProps: [14, 'EntryProto', REPEATED],
    trainingInfo: [20, 'bytes', REPEATED],
    functions: [25, 'FunctionProto', REPEATED],
    configuration: [26, 'bytes', REPEATED],
  },
  EntryProto: {
    key: [1, 'string'],
    value: [2, 'string'],
  },
  GraphProto: {
    node: [1, 'NodeProto', REPEATED],
    name: [2, 'string'],
    initializer: [5, 'TensorProto', REPEATED],
    docString: [10, 'string'],
    input: [11, 'ValueInfoProto', REPEATED],
    output: [12, 'ValueInfoProto', REPEATED],
    valueInfo: [13, 'ValueInfoProto', REPEATED],
    quantizationAnnotation: [14, 'bytes', REPEATED],
    sparseInitializer: [15, 'SparseTensorProto', REPEATED],
    metadataProps: [16, 'EntryProto', REPEATED],
  },
  TensorProto: {
    dims: [1, 'int64', REPEATED],
    dataType: [2, 'int32'],
    segment: [3, 'bytes'],
    floatData: [4, 'bytes', REPEATED],
    int32Data: [5, 'bytes', REPEATED],
    stringData: [6, 'bytes', REPEATED],
    int64Data: [7, 'bytes', REPEATED],
    name: [8, 'string'],
    rawData: [9, 'bytes'],
    doubleData: [10, 'bytes', REPEATED],
    uint64Data: [11, 'bytes', REPEATED],
    docString: [12, 'string'],
    externalData: [13, 'EntryProto', REPEATED],
    dataLocation: [14, 'int32'],
    metadataProps: [16, 'EntryProto', REPEATED],
    slice: [536870911, 'uint32'],
  },
  SparseTensorProto: {
    values: [1, 'TensorProto'],
    indices: [2, 'TensorProto'],
    dims: [3, 'int64', REPEATED],
  },
  TensorShapeProto: {
    dim: [1, 'Dimension', REPEATED],
  },
  Dimension: {
    dimValue: [1, 'int64'],
    dimParam: [2, 'string'],
    denotation: [3, 'string'],
  },
  TypeProto: {
    tensorType: [1, 'TensorType'],
    sequenceType: [4, 'SequenceType'],
    mapType: [5, 'MapType'],
    denotation: [6, 'string'],
    opaqueType: [7, 'OpaqueType'],
    sparseTensorType: [8, 'TensorType'],
    optionalType: [9, 'OptionalType'],
  },
  TensorType: {
    elemType: [1, 'int32'],
    shape: [2, 'TensorShapeProto'],
  },
  SequenceType: {
    elemType: [1, 'TypeProto'],
  },
  MapType: {
    keyType: [1, 'int32'],
    valueType: [2, 'TypeProto'],
  },
  OptionalType: {
    elemType: [1, 'TypeProto'],
  },
  OpaqueType: {
    domain: [1, 'string'],
    name: [2, 'string'],
  },
  OperatorSetIdProto: {
    domain: [1, 'string'],
    version: [2, 'int64'],
  },
  FunctionProto: {
    name: [1, 'string'],
    input: [4, 'string', REPEATED],
    output: [5, 'string', REPEATED],
    attribute: [6, 'string', REPEATED],
    node: [7, 'NodeProto', REPEATED],
    docString: [8, 'string'],
    opsetImport: [9, 'OperatorSetIdProto', REPEATED],
    domain: [10, 'string'],
    attributeProto: [11, 'AttributeProto', REPEATED],
    valueInfo: [12, 'ValueInfoProto', REPEATED],
    overload: [13, 'string'],
    metadataProps: [14, 'EntryProto', REPEATED],
  },
}
