import { byteLengthOf, DTYPES, type DType } from '../onnx/dtypes.ts'

/** Half precision to a JS number, exactly. */
export function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31
  const fraction = half & 1023
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024))
}

/** A JS number to half precision, rounded to nearest even. */
export function numberToHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  if (size >= 65520) return sign | 0x7c00
  let exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -24)))
  if (size < 2 ** exponent && exponent > -14) exponent-- // log2 may round up next to a power of two
  const scaled = size / 2 ** (exponent - 10)
  const floor = Math.floor(scaled)
  const rest = scaled - floor
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
  // A carry out of the fraction lands in the exponent by itself.
  return sign | (rounded < 1024 ? rounded : (exponent + 14) * 1024 + rounded)
}

const word = new DataView(new ArrayBuffer(4))

function numberToBfloat(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  word.setFloat32(0, value)
  const bits = word.getUint32(0)
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

function bfloatToNumber(bits: number): number {
  word.setUint32(0, bits << 16)
  return word.getFloat32(0)
}

type Read = (view: DataView, at: number) => number
type Write = (view: DataView, at: number, value: number | bigint) => void

const ACCESS: { [K in DType]?: readonly [Read, Write] } = {
  float32: [(v, at) => v.getFloat32(at, true), (v, at, x) => v.setFloat32(at, Number(x), true)],
  float64: [(v, at) => v.getFloat64(at, true), (v, at, x) => v.setFloat64(at, Number(x), true)],
  float16: [
    (v, at) => halfToNumber(v.getUint16(at, true)),
    (v, at, x) => v.setUint16(at, numberToHalf(Number(x)), true),
  ],
  bfloat16: [
    (v, at) => bfloatToNumber(v.getUint16(at, true)),
    (v, at, x) => v.setUint16(at, numberToBfloat(Number(x)), true),
  ],
  int8: [(v, at) => v.getInt8(at), (v, at, x) => v.setInt8(at, Number(x))],
  uint8: [(v, at) => v.getUint8(at), (v, at, x) => v.setUint8(at, Number(x))],
  int16: [(v, at) => v.getInt16(at, true), (v, at, x) => v.setInt16(at, Number(x), true)],
  uint16: [(v, at) => v.getUint16(at, true), (v, at, x) => v.setUint16(at, Number(x), true)],
  int32: [(v, at) => v.getInt32(at, true), (v, at, x) => v.setInt32(at, Number(x), true)],
  uint32: [(v, at) => v.getUint32(at, true), (v, at, x) => v.setUint32(at, Number(x), true)],
  int64: [(v, at) => Number(v.getBigInt64(at, true)), (v, at, x) => v.setBigInt64(at, BigInt(x), true)],
  uint64: [(v, at) => Number(v.getBigUint64(at, true)), (v, at, x) => v.setBigUint64(at, BigInt(x), true)],
  bool: [(v, at) => v.getUint8(at), (v, at, x) => v.setUint8(at, x ? 1 : 0)],
}

/** Elements of raw tensor bytes as JS numbers; 64-bit integers beyond 2^53 are rounded. Throws for types without numbers. */
export function unpackNumbers(dtype: DType | undefined, bytes: Uint8Array, count: number): number[] {
  const access = dtype && ACCESS[dtype]
  if (access) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const step = DTYPES[dtype].bits / 8
    return Array.from({ length: count }, (_, i) => access[0](view, i * step))
  }
  if (!dtype || DTYPES[dtype].kind !== 'int') throw new Error(`elements of ${dtype} can't be read as numbers`)
  const { bits } = DTYPES[dtype]
  const sign = dtype.startsWith('int') ? 1 << (bits - 1) : 0
  return Array.from({ length: count }, (_, i) => {
    const raw = (bytes[(i * bits) >> 3]! >> ((i * bits) & 7)) & ((1 << bits) - 1)
    return (raw ^ sign) - sign
  })
}

/** Raw tensor bytes from JS numbers; the inverse of `unpackNumbers`. */
export function packNumbers(dtype: DType, values: readonly (number | bigint)[]): Uint8Array {
  const bytes = new Uint8Array(byteLengthOf(dtype, values.length))
  const { bits } = DTYPES[dtype]
  const access = ACCESS[dtype]
  if (access) {
    const view = new DataView(bytes.buffer)
    values.forEach((value, i) => void access[1](view, (i * bits) / 8, value))
  } else if (DTYPES[dtype].kind === 'int')
    values.forEach((value, i) => {
      bytes[(i * bits) >> 3]! |= (Number(value) & ((1 << bits) - 1)) << ((i * bits) & 7)
    })
  else throw new Error(`a tensor of ${dtype} can't be made from numbers`)
  return bytes
}
