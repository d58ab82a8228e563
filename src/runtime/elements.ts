import { OnnxSessionError } from './error.ts'
import type { HalfCodec } from './float16.ts'

/** Filled by models that have float16 inputs or outputs. */
export const codec: Partial<HalfCodec> = {}

type AnyTypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
/** The data of a CPU tensor. */
export type TensorData = AnyTypedArray | string[]

/** Per element type: its typed array, and another one whose values it can hold without loss (float16: by rounding). */
const ARRAYS: { [dtype: string]: [new (length: number) => AnyTypedArray, widens?: string] } = {
  float32: [Float32Array],
  float64: [Float64Array, 'Float32'],
  float16: [Uint16Array, 'Float32'],
  uint16: [Uint16Array],
  int16: [Int16Array],
  int32: [Int32Array],
  uint32: [Uint32Array],
  uint64: [BigUint64Array, 'Uint32'],
  int64: [BigInt64Array, 'Int32'],
  int8: [Int8Array],
  int4: [Uint8Array],
  uint4: [Uint8Array],
  bool: [Uint8Array],
  uint8: [Uint8Array, 'Uint8Clamped'],
}

/** Whether tensors of this type exist in JavaScript (no bfloat16, float8, sequences). */
export function isSupported(dtype: string | undefined): dtype is string {
  return dtype === 'string' || (dtype !== undefined && Object.hasOwn(ARRAYS, dtype))
}

/** Number of array elements that `count` values of a type take. */
export function storageLength(dtype: string, count: number): number {
  return dtype.endsWith('int4') ? Math.ceil(count / 2) : count
}

/** Data of `count` zeros, or empty strings. */
export function zeros(dtype: string, count: number): TensorData {
  return dtype === 'string' ? new Array<string>(count).fill('') : new ARRAYS[dtype]![0](storageLength(dtype, count))
}

/** `tag` of a typed array without the last word: `Float32`. */
export function tagOf(array: object): string {
  return Object.prototype.toString.call(array).slice(8, -6)
}

/**
 * A typed array as data of an input: the same array where it fits, else converted.
 * @throws OnnxSessionError INPUT_DTYPE if its values may not fit the type.
 */
export function fromTypedArray(input: string, dtype: string, array: ArrayBufferView): TensorData {
  const tag = tagOf(array)
  const [Wanted, widens] = ARRAYS[dtype] ?? []
  // ONNX Runtime takes a Float16Array as it is where the platform has one.
  if (Wanted && (`${tag}Array` === Wanted.name || (tag === 'Float16' && dtype === 'float16')))
    return array as Uint8Array
  if (!Wanted || tag !== widens) throw wrongType(input, dtype, `a ${tag}Array`)
  if (tag === 'Uint8Clamped') return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
  return fill(input, dtype, array as Float32Array)
}

/**
 * Plain values (or the elements of an array) as data of an input, each one checked.
 * @throws OnnxSessionError INPUT_DTYPE at the first that is no value of the type: a fraction or out of range for an
 * integer type, a string for a number, ...
 */
export function fromValues(input: string, dtype: string, values: ArrayLike<unknown>): TensorData {
  if (dtype.endsWith('int4')) throw wrongType(input, dtype, 'plain values, only packed bytes')
  return fill(input, dtype, values)
}

function fill(input: string, dtype: string, values: ArrayLike<unknown>): TensorData {
  const data = zeros(dtype, values.length) as unknown[]
  const integer = dtype.includes('int')
  const wide = dtype.endsWith('int64')
  const kind = dtype === 'string' ? 'string' : wide ? 'bigint' : 'number'
  for (let i = 0; i < values.length; i++) {
    let value = values[i]
    if (wide && Number.isSafeInteger(value)) value = BigInt(value as number)
    else if (dtype === 'bool' && typeof value === 'boolean') value = Number(value)
    const fits = typeof value === kind && (dtype !== 'bool' || value === 0 || value === 1)
    if (fits) data[i] = dtype === 'float16' ? codec.toHalf!(value as number) : value
    // Integer arrays wrap and truncate: what does not come back is no value of the type.
    if (!fits || (integer && data[i] !== value)) throw wrongType(input, dtype, show(values[i]))
  }
  return data as TensorData
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}

export function wrongType(input: string, dtype: string, what: string): OnnxSessionError {
  return new OnnxSessionError('INPUT_DTYPE', `input "${input}" is ${dtype}, which can't take ${what}`)
}
