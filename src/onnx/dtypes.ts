/**
 * The element types of ONNX: one table that everything else (decode, typing, code generation, quantization) reads.
 * Codes are those of `TensorProto.DataType`; `bits` is the size of one element on the wire.
 */
export const DTYPES = {
  float32: { code: 1, bits: 32, kind: 'float', short: 'f32' },
  uint8: { code: 2, bits: 8, kind: 'int', short: 'u8' },
  int8: { code: 3, bits: 8, kind: 'int', short: 's8' },
  uint16: { code: 4, bits: 16, kind: 'int', short: 'u16' },
  int16: { code: 5, bits: 16, kind: 'int', short: 's16' },
  int32: { code: 6, bits: 32, kind: 'int', short: 's32' },
  int64: { code: 7, bits: 64, kind: 'int', short: 's64' },
  string: { code: 8, bits: 0, kind: 'string', short: 'str' },
  bool: { code: 9, bits: 8, kind: 'bool', short: 'bool' },
  float16: { code: 10, bits: 16, kind: 'float', short: 'f16' },
  float64: { code: 11, bits: 64, kind: 'float', short: 'f64' },
  uint32: { code: 12, bits: 32, kind: 'int', short: 'u32' },
  uint64: { code: 13, bits: 64, kind: 'int', short: 'u64' },
  complex64: { code: 14, bits: 64, kind: 'complex', short: 'c64' },
  complex128: { code: 15, bits: 128, kind: 'complex', short: 'c128' },
  bfloat16: { code: 16, bits: 16, kind: 'float', short: 'bf16' },
  float8e4m3fn: { code: 17, bits: 8, kind: 'float8', short: 'f8e4m3fn' },
  float8e4m3fnuz: { code: 18, bits: 8, kind: 'float8', short: 'f8e4m3fnuz' },
  float8e5m2: { code: 19, bits: 8, kind: 'float8', short: 'f8e5m2' },
  float8e5m2fnuz: { code: 20, bits: 8, kind: 'float8', short: 'f8e5m2fnuz' },
  uint4: { code: 21, bits: 4, kind: 'int', short: 'u4' },
  int4: { code: 22, bits: 4, kind: 'int', short: 's4' },
  float4e2m1: { code: 23, bits: 4, kind: 'float8', short: 'f4e2m1' },
  float8e8m0: { code: 24, bits: 8, kind: 'float8', short: 'f8e8m0' },
  uint2: { code: 25, bits: 2, kind: 'int', short: 'u2' },
  int2: { code: 26, bits: 2, kind: 'int', short: 's2' },
} as const

/** Name of an ONNX element type, e.g. `float32`. */
export type DType = keyof typeof DTYPES

const byCode: ReadonlyMap<number, DType> = new Map(
  (Object.keys(DTYPES) as DType[]).map((name) => [DTYPES[name].code, name]),
)

/** The element type with this `TensorProto.DataType` code, or undefined for 0 and codes newer than this table. */
export function dtypeOf(code: number): DType | undefined {
  return byCode.get(code)
}

/** The `TensorProto.DataType` code of an element type. */
export function codeOf(dtype: DType): number {
  return DTYPES[dtype].code
}

/** Number of bytes that `count` packed elements of `dtype` take (sub-byte types are packed, the last byte padded). */
export function byteLengthOf(dtype: DType, count: number): number {
  return Math.ceil((DTYPES[dtype].bits * count) / 8)
}

/** True for the IEEE-like floating-point types that arithmetic ops take (not float8 and float4). */
export function isFloat(dtype: DType | undefined): boolean {
  return dtype !== undefined && DTYPES[dtype].kind === 'float'
}
