import { Tensor } from '../../../../graph/tensor.ts'
import { DTYPES, type DType } from '../../../../onnx/dtypes.ts'
import { badData, describeInput, type Feeds, type InputSpec } from './types.ts'

/** Element types by JavaScript array. */
const ARRAY_TYPES: Readonly<Record<string, DType>> = {
  Float32Array: 'float32',
  Float64Array: 'float64',
  Int8Array: 'int8',
  Uint8Array: 'uint8',
  Uint8ClampedArray: 'uint8',
  Int16Array: 'int16',
  Uint16Array: 'uint16',
  Int32Array: 'int32',
  Uint32Array: 'uint32',
  BigInt64Array: 'int64',
  BigUint64Array: 'uint64',
}

/** Tensors of an object whose values are tensors, typed arrays or nested arrays, by input. Other members are passed over. */
export function feedOf(
  values: Readonly<Record<string, unknown>>,
  inputs: readonly InputSpec[],
  sources: Readonly<Record<string, string>>,
  what: string,
  path: string,
): Feeds {
  const feeds: Record<string, Tensor> = {}
  for (const input of inputs) {
    const value = values[sources[input.name] ?? input.name]
    if (value === undefined || value === null) continue
    try {
      feeds[input.name] = tensorOf(value, input)
    } catch (error) {
      throw badData(
        `input "${input.name}" of ${what}: ${reasonOf(error)}`,
        path,
        `It must hold ${describeInput(input)}.`,
        error,
      )
    }
  }
  return feeds
}

function tensorOf(value: unknown, input: InputSpec): Tensor {
  if (value instanceof Tensor) return value
  if (ArrayBuffer.isView(value)) return fromView(value, undefined, shapeFor((value as Uint8Array).length, input))
  if (Array.isArray(value)) {
    const dims = dimsOf(value)
    const flat: unknown[] = value.flat(Number.POSITIVE_INFINITY)
    return fromNumbers(flat, dims, input)
  }
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' || typeof value === 'string')
    return fromNumbers([value], [], input)
  const { data, dims, type } = value as { data?: unknown; dims?: readonly number[]; type?: DType }
  if (!dims || data === undefined) throw new Error('it is no tensor, no typed array and no array of numbers')
  if (ArrayBuffer.isView(data)) return fromView(data, type, dims)
  if (Array.isArray(data)) return fromNumbers(data, dims, input)
  throw new Error('its data is no typed array')
}

function fromView(view: ArrayBufferView, type: DType | undefined, dims: readonly number[]): Tensor {
  const dtype = type && type in DTYPES ? type : ARRAY_TYPES[view.constructor.name]
  if (!dtype) throw new Error(`a ${view.constructor.name} can't be its data`)
  // A copy: generators may use one buffer again and again.
  return Tensor.of(dtype, dims, new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice())
}

function fromNumbers(flat: readonly unknown[], dims: readonly number[], { dtype = 'float32' }: InputSpec): Tensor {
  if (dtype === 'string') return Tensor.strings(dims, flat.map(String))
  const numbers = flat.map((item) => {
    if (typeof item === 'boolean') return Number(item)
    if (typeof item !== 'number' && typeof item !== 'bigint') throw new Error(`${JSON.stringify(item)} is no number`)
    return item
  })
  return Tensor.from(dtype, dims, numbers)
}

/** The shape of a flat array: the input's, with one dynamic dimension filled in; others count as 1. */
function shapeFor(count: number, { shape }: InputSpec): number[] {
  if (!shape) return [count]
  const known = shape.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : 1), 1)
  const last = shape.findLastIndex((dim) => typeof dim !== 'number')
  const dims = shape.map((dim, i) => (typeof dim === 'number' ? dim : i === last ? count / known : 1))
  if (dims.some((dim) => !Number.isInteger(dim)) || dims.reduce((product, dim) => product * dim, 1) !== count)
    throw new Error(`${count} elements don't fit [${shape.map((dim) => dim ?? '?').join(', ')}]`)
  return dims
}

function dimsOf(value: unknown): number[] {
  const dims: number[] = []
  for (let at = value; Array.isArray(at); at = at[0]) dims.push(at.length)
  const check = (at: unknown, depth: number): void => {
    if (Array.isArray(at) !== depth < dims.length || (Array.isArray(at) && at.length !== dims[depth]))
      throw new Error('its nested arrays are of different lengths')
    if (Array.isArray(at)) for (const item of at) check(item, depth + 1)
  }
  check(value, 0)
  return dims
}

function reasonOf(error: unknown): string {
  const { message } = error as Error
  const number = /The number (\S+) cannot be converted to a BigInt/.exec(message)?.[1]
  return number === undefined ? message : `${number} is no whole number`
}
