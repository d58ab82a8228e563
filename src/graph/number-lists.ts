import { byteLengthOf, DTYPES, type DType } from '../onnx/dtypes.ts'
import type { TensorProto } from '../onnx/proto.ts'

type List = 'floatData' | 'doubleData' | 'int64Data' | 'uint64Data' | 'int32Data'

/** Which of TensorProto's number lists holds an element type; everything else is in `int32_data`. */
const LIST_OF: { [K in DType]?: List } = {
  float32: 'floatData',
  complex64: 'floatData',
  float64: 'doubleData',
  complex128: 'doubleData',
  int64: 'int64Data',
  uint32: 'uint64Data',
  uint64: 'uint64Data',
}
const FIELD: Record<List, number> = { floatData: 4, int32Data: 5, int64Data: 7, doubleData: 10, uint64Data: 11 }

/**
 * The data of an old-style tensor (numbers in `float_data`, `int32_data`, ... instead of `raw_data`) as raw bytes, or
 * undefined if the list is missing or of the wrong length. Packed and unpacked lists are read, and mixtures of them.
 */
export function decodeNumberList(proto: TensorProto, dtype: DType, count: number): Uint8Array | undefined {
  const list = LIST_OF[dtype] ?? 'int32Data'
  const chunks = [...(proto[list] ?? []), ...unpackedValues(proto, FIELD[list])]
  const wire = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
  if (list === 'floatData' || list === 'doubleData')
    return wire.length === byteLengthOf(dtype, count) ? wire : undefined
  return decodeVarints(wire, dtype, count)
}

/** Values of a repeated field that were written one by one: protobufjs keeps them as unknown fields, tag included. */
function* unpackedValues(proto: TensorProto, field: number): Generator<Uint8Array> {
  for (const raw of proto.$unknowns ?? []) if (raw[0]! >>> 3 === field && raw[0]! < 0x80) yield raw.subarray(1)
}

/** Varints to the element type's own bytes. 16-bit floats are bit patterns; sub-byte types come a byte at a time. */
function decodeVarints(wire: Uint8Array, dtype: DType, count: number): Uint8Array | undefined {
  const size = Math.max(1, DTYPES[dtype].bits / 8)
  const bytes = new Uint8Array(byteLengthOf(dtype, count))
  let at = 0
  let out = 0
  for (; at < wire.length && out < bytes.length; out += size) {
    // Each group of seven bits is OR-ed into the element's bytes; what lies beyond the element is sign extension.
    for (let shift = 0; ; shift += 7) {
      const byte = wire[at++]
      if (byte === undefined) return undefined
      const group = (byte & 0x7f) << (shift & 7)
      const target = shift >> 3
      if (target < size) bytes[out + target]! |= group & 0xff
      if (target + 1 < size) bytes[out + target + 1]! |= group >> 8
      if (byte < 0x80) break
    }
  }
  return at === wire.length && out === bytes.length ? bytes : undefined
}
