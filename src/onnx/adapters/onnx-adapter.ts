import { Builder } from 'flatbuffers'
import { byteLengthOf, codeOf, dtypeOf } from '../dtypes.ts'
import { openTables } from '../flatbuffers.ts'
import type { AdapterTensor, EncodedAdapter } from './types.ts'

/** Identifier of the file, after the offset of its root. */
const IDENTIFIER = 'TORT'
/** Version of the format that ONNX Runtime reads. */
const FORMAT_VERSION = 1

/** Places of the fields in the tables of the schema: Adapter { ...; parameters } and Parameter { name; dims; data_type; raw_data }. */
const ADAPTER = { formatVersion: 0, adapterVersion: 1, modelVersion: 2, parameters: 3, fields: 4 }
const PARAMETER = { name: 0, dims: 1, dataType: 2, rawData: 3, fields: 4 }

/**
 * Reads an `.onnx_adapter` file of ONNX Runtime. Data are views.
 * @throws Error in words if it is damaged or of another version
 */
export function decodeOnnxAdapter(bytes: Uint8Array): AdapterTensor[] {
  return locate(bytes).map(({ name, code, dims, offset, length }) => {
    const dtype = dtypeOf(code)
    if (!dtype || dtype === 'string') throw new Error(`"${name}" has elements of the unknown type ${code}`)
    const count = dims.reduce((total, dim) => total * dim, 1)
    const sound = dims.every((dim) => dim >= 0) && byteLengthOf(dtype, count) === length
    if (!sound || offset + length > bytes.length) throw new Error(`the data of "${name}" do not fit its shape`)
    return { name, dtype, dims, data: bytes.subarray(offset, offset + length) }
  })
}

/** Writes an `.onnx_adapter` file, the data aligned to 8 bytes. */
export function encodeOnnxAdapter(tensors: readonly AdapterTensor[]): EncodedAdapter {
  const size = tensors.reduce((sum, { name, data }) => sum + data.length + name.length + 96, 256)
  const builder = new Builder(size)
  const parameters = tensors.map(({ name, dtype, dims, data }) => {
    builder.prep(8, data.length)
    const rawData = builder.createByteVector(data)
    builder.startVector(8, dims.length, 8)
    for (const dim of dims.toReversed()) builder.addInt64(BigInt(dim))
    const shape = builder.endVector()
    const text = builder.createString(name)
    builder.startObject(PARAMETER.fields)
    builder.addFieldOffset(PARAMETER.name, text, 0)
    builder.addFieldOffset(PARAMETER.dims, shape, 0)
    builder.addFieldInt32(PARAMETER.dataType, codeOf(dtype), 0)
    builder.addFieldOffset(PARAMETER.rawData, rawData, 0)
    return builder.endObject()
  })
  builder.startVector(4, parameters.length, 4)
  for (const parameter of parameters.toReversed()) builder.addOffset(parameter)
  const list = builder.endVector()
  builder.startObject(ADAPTER.fields)
  builder.addFieldInt32(ADAPTER.formatVersion, FORMAT_VERSION, 0)
  builder.addFieldInt32(ADAPTER.adapterVersion, 1, 0)
  builder.addFieldInt32(ADAPTER.modelVersion, 1, 0)
  builder.addFieldOffset(ADAPTER.parameters, list, 0)
  builder.finish(builder.endObject(), IDENTIFIER)
  const bytes = builder.asUint8Array()
  return { bytes, offsets: locate(bytes).map(({ offset }) => offset) }
}

interface Located {
  name: string
  code: number
  dims: number[]
  offset: number
  length: number
}

function locate(bytes: Uint8Array): Located[] {
  if (new TextDecoder('latin1').decode(bytes.subarray(4, 8)) !== IDENTIFIER)
    throw new Error(`it does not say ${IDENTIFIER} at its start`)
  const { buffer, within, fieldOf, vector, text } = openTables(bytes)
  const root = buffer.readInt32(0)
  const versionAt = fieldOf(root, ADAPTER.formatVersion)
  const version = versionAt && buffer.readInt32(versionAt)
  if (version !== FORMAT_VERSION) throw new Error(`it is of version ${version}, not ${FORMAT_VERSION}`)
  const parameters = vector(root, ADAPTER.parameters)
  within(parameters.start, 4 * parameters.length)
  return Array.from({ length: parameters.length }, (_, i) => {
    const table = buffer.__indirect(parameters.start + 4 * i)
    const name = text(table, PARAMETER.name)
    const typeAt = fieldOf(table, PARAMETER.dataType)
    const dims = vector(table, PARAMETER.dims)
    const data = vector(table, PARAMETER.rawData)
    if (name === undefined) throw new Error(`weight ${i} has no name`)
    within(dims.start, 8 * dims.length)
    return {
      name,
      code: typeAt ? buffer.readInt32(typeAt) : 0,
      dims: Array.from({ length: dims.length }, (_, axis) => Number(buffer.readInt64(dims.start + 8 * axis))),
      offset: data.start,
      length: data.length,
    }
  })
}
