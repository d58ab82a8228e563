import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { modelToProto } from '../graph/export.ts'
import type { Model } from '../graph/model.ts'
import type { ByteSource } from '../onnx/bytes.ts'
import { type Encoded, encodeModel, writeSegments } from '../onnx/encode.ts'
import { OnnxError } from '../onnx/errors.ts'
import type { ModelProto, TensorProto } from '../onnx/proto.ts'
import type { Segment } from '../onnx/wire.ts'
import type { BuiltFile } from './workers/jobs.ts'

/** A model file can't be larger than this: the limit of protobuf. */
export const MAX_MODEL_BYTES: number = 2 ** 31 - 1
/** Tensors from this size on go to the data file, when there is one. */
const EXTERNAL_FROM = 1024
/** Tensors from this size on start at a page, so that ONNX Runtime can map them into memory. */
const ALIGN_FROM = 1 << 20
const PAGE = 4096
/** `TensorProto.data_location` for data in another file. */
const EXTERNAL = 1

interface WriteOptions {
  /** Largest model file to write; beyond it weights move to `<name>_data`. */
  maxBytes?: number
  onProgress?: ((fraction: number) => void) | undefined
}

/**
 * Writes a model into `folder`: one file where protobuf's limit allows it, else the weights beside it in `<name>_data`.
 * Weights that no pass touched are copied from file to file in small pieces.
 *
 * @returns the files written with their hashes, the model first
 */
export function writeModel(
  model: Model,
  folder: string,
  name: string,
  { maxBytes = MAX_MODEL_BYTES, onProgress }: WriteOptions = {},
): BuiltFile[] {
  const proto = modelToProto(model)
  const encoded = encodeWithin(proto, maxBytes)
  if (encoded) return [writeFile(folder, name, encoded, onProgress)]
  const data = moveWeights(proto, `${name}_data`)
  const small = encodeWithin(proto, maxBytes)
  if (!small)
    throw new OnnxError('MODEL_TOO_LARGE', 'the model is larger than 2 GiB even without its weights', {
      hint: 'It holds constants in a form that cannot be stored outside the model.',
    })
  const external = writeFile(folder, `${name}_data`, data, onProgress)
  return [writeFile(folder, name, small), external]
}

function encodeWithin(proto: ModelProto, maxBytes: number): Encoded | undefined {
  try {
    const encoded = encodeModel(proto)
    return encoded.length <= maxBytes ? encoded : undefined
  } catch (error) {
    if (error instanceof OnnxError && error.code === 'MODEL_TOO_LARGE') return undefined
    throw error
  }
}

/** Makes the large tensors of a wire model refer to `location`; gives back what has to be written there. */
function moveWeights(proto: ModelProto, location: string): Encoded {
  const segments: Segment[] = []
  let offset = 0
  // A tensor's wire form may be shared with the graph it came from, and is then not ours to change.
  const move = (tensor: TensorProto): TensorProto => {
    const { rawData, ...rest } = tensor
    if (!Object.hasOwn(tensor, 'rawData') || !rawData || rawData.length < EXTERNAL_FROM) return tensor
    const padding = rawData.length >= ALIGN_FROM ? (PAGE - (offset % PAGE)) % PAGE : 0
    if (padding > 0) segments.push(new Uint8Array(padding))
    offset += padding
    segments.push(rawData as Uint8Array | ByteSource)
    const entries = { location, offset, length: rawData.length }
    offset += rawData.length
    return {
      ...rest,
      dataLocation: EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value: String(value) })),
    }
  }
  const graph = proto.graph!
  graph.initializer = (graph.initializer ?? []).map(move)
  return { length: offset, segments: () => segments }
}

function writeFile(
  folder: string,
  name: string,
  { length, segments }: Encoded,
  onProgress?: (fraction: number) => void,
): BuiltFile {
  const hash = createHash('sha256')
  let done = 0
  writeSegments(join(folder, name), segments(), (chunk) => {
    hash.update(chunk)
    done += chunk.length
    onProgress?.(done / length)
  })
  return { name, bytes: length, hash: hash.digest('hex') }
}
