import { type ByteSource, bytesOf } from '../onnx/bytes.ts'
import { byteLengthOf, codeOf, type DType, dtypeOf } from '../onnx/dtypes.ts'
import { OnnxError } from '../onnx/errors.ts'
import { externalReference, openExternal } from '../onnx/external.ts'
import type { TensorProto } from '../onnx/proto.ts'
import { decodeNumberList } from './number-lists.ts'
import { packNumbers, unpackNumbers } from './numbers.ts'

/** `TensorProto.data_location` for data in another file. */
const EXTERNAL = 1

type Data = Uint8Array | ByteSource | readonly Uint8Array[]

/**
 * A constant tensor. Immutable: a pass that changes weights puts a new Tensor in the old one's place. The data is row-major,
 * little-endian, sub-byte types packed low bits first; it may be a view at any alignment, or still in a file.
 */
export class Tensor {
  /** Element type; undefined for codes newer than this version knows. */
  readonly dtype: DType | undefined
  readonly dims: readonly number[]
  readonly #data: Data
  /** The wire form this came from, reused as it is when the tensor is written again. */
  readonly #proto: TensorProto | undefined

  private constructor(dtype: DType | undefined, dims: readonly number[], data: Data, proto?: TensorProto) {
    this.dtype = dtype
    this.dims = dims
    this.#data = data
    this.#proto = proto
  }

  /** A tensor from its raw bytes. Throws if their length does not fit dtype and dims. */
  static of(dtype: DType, dims: readonly number[], data: Uint8Array | ByteSource): Tensor {
    const expected = byteLengthOf(dtype, elementsIn(dims))
    if (dtype === 'string' || data.length !== expected)
      throw new Error(`a ${dtype} tensor of [${dims}] takes ${expected} bytes, not ${data.length}`)
    return new Tensor(dtype, dims, data)
  }

  /** A small tensor from JS numbers or bigints; floats are rounded to the nearest. */
  static from(dtype: DType, dims: readonly number[], values: readonly (number | bigint)[]): Tensor {
    return Tensor.of(dtype, dims, packNumbers(dtype, values))
  }

  /** A float32 tensor over the array's own memory. */
  static float32(dims: readonly number[], values: Float32Array | readonly number[]): Tensor {
    const array = values instanceof Float32Array ? values : Float32Array.from(values)
    return Tensor.of('float32', dims, new Uint8Array(array.buffer, array.byteOffset, array.byteLength))
  }

  /** An int64 tensor, 1-D unless dims say otherwise. */
  static int64(values: readonly (number | bigint)[], dims: readonly number[] = [values.length]): Tensor {
    return Tensor.from('int64', dims, values)
  }

  /** A string tensor. */
  static strings(dims: readonly number[], values: readonly string[]): Tensor {
    const encoder = new TextEncoder()
    return new Tensor(
      'string',
      dims,
      values.map((value) => encoder.encode(value)),
    )
  }

  /**
   * Reads a tensor from its wire form.
   *
   * @param file model file, whose folder holds external data
   * @throws OnnxError if the data does not fit dtype and dims, or external data is missing or refused
   */
  static fromProto(proto: TensorProto, file?: string): Tensor {
    const name = proto.name || '(unnamed)'
    const dims = (proto.dims ?? []).map(Number)
    const dtype = dtypeOf(proto.dataType ?? 0)
    const broken = (what: string): OnnxError =>
      new OnnxError('TENSOR_INVALID', `tensor "${name}" ${what}`, {
        place: { file },
        hint: 'The model is damaged. Export it again.',
      })
    if (dims.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) throw broken(`has the shape [${dims}]`)
    const count = elementsIn(dims)
    if (dtype === 'string') {
      const strings = proto.stringData ?? []
      if (strings.length !== count) throw broken(`has ${strings.length} strings for the shape [${dims}]`)
      return new Tensor(dtype, dims, strings, proto)
    }
    const expected = dtype && byteLengthOf(dtype, count)
    if (proto.dataLocation === EXTERNAL) {
      const reference = externalReference(proto.externalData ?? [], name, file)
      return new Tensor(dtype, dims, openExternal(reference, expected ?? reference.length ?? 0, name, file), proto)
    }
    if (!dtype || expected === undefined) return new Tensor(dtype, dims, proto.rawData ?? new Uint8Array(), proto)
    const data = Object.hasOwn(proto, 'rawData') ? proto.rawData! : decodeNumberList(proto, dtype, count)
    if (data?.length !== expected)
      throw broken(
        `of ${dtype} [${dims}] takes ${expected} bytes, but the file has ${data ? data.length : 'another number of elements'}`,
      )
    return new Tensor(dtype, dims, data, proto)
  }

  /**
   * The wire form under `name`. An untouched tensor gives back what it came from, byte for byte, unless its data lay in
   * another file: then it is embedded.
   */
  toProto(name: string): TensorProto {
    const proto = this.#proto
    if (proto && proto.dataLocation !== EXTERNAL && (proto.name ?? '') === name) return proto
    const fresh: TensorProto = { dims: [...this.dims], dataType: this.code }
    if (name !== '') fresh.name = name
    if (proto?.docString) fresh.docString = proto.docString
    if (proto?.metadataProps?.length) fresh.metadataProps = proto.metadataProps
    if (this.dtype === 'string') fresh.stringData = [...(this.#data as readonly Uint8Array[])]
    else fresh.rawData = this.source
    return fresh
  }

  /** Code of the element type on the wire, also for types that are too new for `dtype`. */
  get code(): number {
    return this.dtype ? codeOf(this.dtype) : (this.#proto?.dataType ?? 0)
  }

  /** True if the data lay in a file beside the model. */
  get isExternal(): boolean {
    return this.#proto?.dataLocation === EXTERNAL
  }

  get elementCount(): number {
    return elementsIn(this.dims)
  }

  /** Bytes of the data (for strings the sum of their lengths). */
  get byteLength(): number {
    if (this.dtype === 'string')
      return (this.#data as readonly Uint8Array[]).reduce((sum, { length }) => sum + length, 0)
    return this.source.length
  }

  /** The data without reading it. Throws for strings. */
  get source(): Uint8Array | ByteSource {
    if (this.dtype === 'string') throw new Error('string tensors have no bytes')
    return this.#data as Uint8Array | ByteSource
  }

  /** The raw data, read if it is still in a file; a view at any alignment. Do not write to it. */
  bytes(): Uint8Array {
    return bytesOf(this.source)
  }

  /** The data of a float32 tensor, aligned (copied if the view is not). Do not write to it. */
  float32(): Float32Array {
    if (this.dtype !== 'float32') throw new Error(`not a float32 tensor but ${this.dtype}`)
    const bytes = this.bytes()
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
    return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4)
  }

  /** The elements as JS numbers, for small tensors of any numeric type; 64-bit integers beyond 2^53 are rounded. */
  toNumbers(): number[] {
    return unpackNumbers(this.dtype, this.bytes(), this.elementCount)
  }

  /** The elements of a string tensor. */
  toStrings(): string[] {
    if (this.dtype !== 'string') throw new Error(`not a string tensor but ${this.dtype}`)
    return (this.#data as readonly Uint8Array[]).map((bytes) => new TextDecoder().decode(bytes))
  }

  /** The only element of a one-element numeric tensor, else undefined. */
  scalar(): number | undefined {
    if (this.elementCount !== 1 || !this.dtype || this.dtype === 'string' || this.dtype.startsWith('float8'))
      return undefined
    return this.toNumbers()[0]
  }

  /** The same data under another shape with as many elements. */
  reshaped(dims: readonly number[]): Tensor {
    if (elementsIn(dims) !== this.elementCount) throw new Error(`[${this.dims}] can't be seen as [${dims}]`)
    return new Tensor(this.dtype, dims, this.#data)
  }
}

/** Number of elements of a shape (1 for a scalar). */
export function elementsIn(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}
