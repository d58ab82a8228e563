import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { encodeModel, writeSegments } from '../onnx/encode.ts'
import type { TensorProto } from '../onnx/proto.ts'
import type { Segment } from '../onnx/wire.ts'
import { modelToProto } from './export.ts'
import type { Model } from './model.ts'
import type { Tensor } from './tensor.ts'

/** `TensorProto.data_location` for data in another file. */
const EXTERNAL = 1
/** Largest model that goes into one file: protobuf ends at 2 GiB, and the graph needs some room. */
const SINGLE_FILE_LIMIT = 2 ** 31 - 2 ** 24
/** Data of initializers from this size on goes to the data file; small ones stay where shape inference sees them. */
const EXTERNAL_FROM = 1024
/** Large tensors start on a page of the data file, so that runtimes can map them into memory. */
const PAGE = 4096

export interface WriteOptions {
  /**
   * Where weights go. `auto` (default): into the model file, or into a data file if the model would exceed 2 GiB.
   * `always`: into a data file. `never`: into the model file, an error above 2 GiB.
   */
  external?: 'auto' | 'always' | 'never'
  /** Name of the data file, in the model's folder; it is what the model refers to. */
  location: string
  /** Initializers whose data lie in a file that is there already: by name. Its data are not written. */
  placed?: ReadonlyMap<string, PlacedData>
  /**
   * Sees every piece of every file as it is written, for hashing and progress: of `PIECE` bytes but for the last one. Its memory
   * is not used again before the promise is kept. `name` is '' for the model itself.
   */
  onPiece?: (piece: Uint8Array<ArrayBuffer>, name: string) => Promise<void> | void
}

/** Where the data of an initializer lie, in a file beside the model. */
export interface PlacedData {
  location: string
  offset: number
}

/** A file that `writeModel` wrote. */
export interface WrittenFile {
  path: string
  /** '' for the model, else the location of the data file. */
  name: string
  bytes: number
}

/**
 * Writes a model to a new file, and its data file where one is needed. Memory does not grow with the weights. If writing
 * fails nothing is left behind. The model must not change meanwhile.
 *
 * @throws OnnxError `MODEL_TOO_LARGE` above 2 GiB with `external: 'never'`
 */
export async function writeModel(model: Model, path: string, options: WriteOptions): Promise<WrittenFile[]> {
  const { external = 'auto', location, onPiece, placed } = options
  const data =
    external === 'always' || (external === 'auto' && model.weightBytes > SINGLE_FILE_LIMIT)
      ? new DataFile(location)
      : undefined
  const place = (tensor: Tensor, name: string): TensorProto | undefined => {
    const place = placed?.get(name)
    return place ? externalProto(tensor, name, place) : data?.place(tensor, name)
  }
  const encoded = encodeModel(modelToProto(model, place))
  const dataPath = join(dirname(path), location)
  const files: WrittenFile[] = [{ path, name: '', bytes: encoded.length }]
  try {
    if (data?.length) {
      await writeSegments(dataPath, data.segments(), onPiece && ((piece) => onPiece(piece, location)))
      files.push({ path: dataPath, name: location, bytes: data.length })
    }
    await writeSegments(path, encoded.segments(), onPiece && ((piece) => onPiece(piece, '')))
  } catch (error) {
    for (const file of [path, dataPath])
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') rmSync(file, { force: true })
    throw error
  }
  return files
}

/** The wire form of a tensor whose data lie elsewhere. */
function externalProto(tensor: Tensor, name: string, { location, offset }: PlacedData): TensorProto {
  const entries = { location, offset, length: tensor.byteLength }
  return {
    dims: [...tensor.dims],
    dataType: tensor.code,
    name,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value: String(value) })),
    dataLocation: EXTERNAL,
  }
}

/** Lays tensors out one after another in a data file. */
class DataFile {
  readonly #location: string
  readonly #segments: Segment[] = []
  length = 0

  constructor(location: string) {
    this.#location = location
  }

  place(tensor: Tensor, name: string): TensorProto | undefined {
    if (tensor.dtype === 'string' || tensor.byteLength < EXTERNAL_FROM) return undefined
    const alignment = tensor.byteLength >= PAGE ? PAGE : 16
    const padding = (alignment - (this.length % alignment)) % alignment
    if (padding) this.#segments.push(new Uint8Array(padding))
    this.#segments.push(tensor.source)
    const offset = this.length + padding
    this.length = offset + tensor.byteLength
    return externalProto(tensor, name, { location: this.#location, offset })
  }

  segments(): Iterable<Segment> {
    return this.#segments
  }
}
