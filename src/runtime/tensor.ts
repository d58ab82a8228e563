import { codec, tagOf } from './elements.ts'
import { OnnxSessionError } from './error.ts'
import type { OrtTensor } from './ort.ts'
import type { Dims, DType, ElementTypes, Sizes } from './types.ts'

/** One element as `toNested` gives it: a number, or bigint for the 64-bit types, boolean for bool. */
type Read<T extends DType> = T extends 'int64' | 'uint64'
  ? bigint
  : T extends 'bool'
    ? boolean
    : T extends 'string'
      ? string
      : number
type ReadNested<T extends DType, D extends Dims> = number extends D['length']
  ? Read<T> | unknown[]
  : D extends readonly [unknown, ...infer Rest extends Dims]
    ? ReadNested<T, Rest>[]
    : Read<T>

/** An output. Can be fed to another session as it is; `tensor` is the one of ONNX Runtime. */
export class OnnxTensor<T extends DType = DType, D extends Dims = Dims> {
  readonly tensor: OrtTensor

  constructor(tensor: OrtTensor) {
    this.tensor = tensor
  }

  get type(): T {
    return this.tensor.type as T
  }

  get dims(): Sizes<D> {
    return this.tensor.dims as Sizes<D>
  }

  /** `cpu`, or the device that holds the data, such as `gpu-buffer`. */
  get location(): string {
    return this.tensor.location
  }

  /**
   * All elements, last dim fastest. A view, not a copy.
   * @throws OnnxSessionError OUTPUT_ON_DEVICE
   */
  get data(): ElementTypes[T]['data'] {
    if (!this.location.startsWith('cpu'))
      throw new OnnxSessionError('OUTPUT_ON_DEVICE', `the data is in a ${this.location}: await tensor.getData()`)
    return plain(this.tensor.data) as ElementTypes[T]['data']
  }

  /** The data, downloaded from the device if it is on one. */
  async getData(): Promise<ElementTypes[T]['data']> {
    return plain(await this.tensor.getData()) as ElementTypes[T]['data']
  }

  /** Arrays nested once per dim; one element for a tensor without dims. */
  toNested(): ReadNested<T, D> {
    const { data, type } = this
    const dims: readonly number[] = this.tensor.dims
    let at = 0
    const level = (depth: number): unknown =>
      depth === dims.length ? read(type, data, at++) : Array.from({ length: dims[depth]! }, () => level(depth + 1))
    return level(0) as ReadNested<T, D>
  }

  /** The only element of a tensor that has one. */
  item(): Read<T> {
    if (this.data.length !== 1) throw new RangeError(`${this.data.length} elements`)
    return read(this.type, this.data, 0) as Read<T>
  }

  /** The data as float32: float16 and integers converted, a Float32Array as it is. */
  toFloat32(): Float32Array {
    const { data, type } = this
    if (data instanceof Float32Array) return data
    return Float32Array.from(data as ArrayLike<unknown>, (_, at) => Number(read(type, data, at)))
  }

  /** Frees device memory; data in main memory is left to the garbage collector. */
  dispose(): void {
    this.tensor.dispose()
  }
}

/** Float16 as raw bits everywhere: ONNX Runtime gives a Float16Array only where the platform has that class. */
function plain(data: unknown): unknown {
  const { buffer, byteOffset, length } = data as Uint16Array
  return tagOf(data as object) === 'Float16' ? new Uint16Array(buffer, byteOffset, length) : data
}

function read(type: string, data: ArrayLike<unknown>, at: number): unknown {
  const value = data[at]
  if (type === 'bool') return value !== 0
  return type === 'float16' ? codec.fromHalf!(value as number) : value
}
