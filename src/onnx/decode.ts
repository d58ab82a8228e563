import { closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import { readMessage } from './codec.ts'
import { OnnxError } from './errors.ts'
import type { GraphProto, ModelProto, SparseTensorProto, TensorProto } from './proto.ts'
import { readSkeleton, type Skeleton } from './skeleton.ts'
import { Reader } from './wire.ts'

/** What the first bytes of a file that is not a model usually mean. */
const IMPOSTORS: readonly { test: (head: string) => boolean; code: string; what: string; hint: string }[] = [
  {
    test: (head) => head.startsWith('version https://git-lfs'),
    code: 'MODEL_GIT_LFS',
    what: 'this file is a Git LFS pointer, not the model itself',
    hint: 'Run `git lfs install && git lfs pull` in the repository that holds it.',
  },
  {
    test: (head) => /^\s*<(!doctype|html|\?xml)/i.test(head),
    code: 'MODEL_NOT_ONNX',
    what: 'this file is an HTML or XML page, not an ONNX model',
    hint: 'The download probably saved an error or login page. Fetch the raw file.',
  },
  {
    test: (head) => head.slice(4, 8) === 'ORTM',
    code: 'MODEL_ORT_FORMAT',
    what: 'this is a model in ONNX Runtime format (.ort), which is already optimized for one machine',
    hint: 'Import the original .onnx model instead.',
  },
  {
    test: (head) => head.startsWith('PK\u0003\u0004'),
    code: 'MODEL_NOT_ONNX',
    what: 'this file is a ZIP archive, not an ONNX model',
    hint: 'Unpack it first; PyTorch checkpoints (.pt) must be exported to ONNX.',
  },
  {
    test: (head) => /^\s*[[{]\s*"/.test(head),
    code: 'MODEL_NOT_ONNX',
    what: 'this file is JSON, not an ONNX model',
    hint: 'Import the .onnx file.',
  },
]

function rejectImpostor(head: Uint8Array, file: string | undefined): void {
  if (head.length === 0)
    throw new OnnxError('MODEL_EMPTY', 'the model file is empty', {
      place: { file },
      hint: 'Fetch or export it again.',
    })
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString('latin1')
  const found = IMPOSTORS.find(({ test }) => test(text))
  if (found) throw new OnnxError(found.code, found.what, { place: { file }, hint: found.hint })
}

function parse(bytes: Uint8Array, file: string | undefined): ModelProto {
  let model: ModelProto
  try {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    model = readMessage('ModelProto', new Reader(buffer))
  } catch (cause) {
    if (cause instanceof OnnxError) throw cause
    throw new OnnxError('MODEL_CORRUPT', `this is not a valid ONNX file: ${(cause as Error).message}`, {
      place: { file },
      hint: 'It is cut off, damaged or of another format. Fetch or export the model again.',
      cause,
    })
  }
  if (!model.graph)
    throw new OnnxError('MODEL_NOT_ONNX', 'this file holds no ONNX graph', {
      place: { file },
      hint: 'Is it an ONNX model? TensorFlow, TFLite and PyTorch files must be exported to ONNX first.',
    })
  return model
}

/**
 * Decodes a model from memory. Large fields are views on `bytes`.
 *
 * @param file name for error messages
 * @throws OnnxError if the bytes are not an ONNX model
 */
export function decodeModel(bytes: Uint8Array, file?: string): ModelProto {
  rejectImpostor(bytes.subarray(0, 64), file)
  return parse(bytes, file)
}

/** Decodes a single tensor, e.g. the content of a `.pb` file of ONNX test data. Throws protobuf's own error on bad bytes. */
export function decodeTensor(bytes: Uint8Array): TensorProto {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return readMessage('TensorProto', new Reader(buffer))
}

/**
 * Decodes a model file. Weights from 4 KiB on stay in the file and come as `ByteSource`s in `rawData`.
 *
 * @throws OnnxError if the file can't be read or is not an ONNX model
 */
export function decodeFile(path: string): ModelProto {
  const fd = openModel(path)
  let skeleton: Skeleton
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw notReadable(path, stat)
    const head = Buffer.alloc(Math.min(64, stat.size))
    readSync(fd, head, 0, head.length, 0)
    rejectImpostor(head, path)
    skeleton = readSkeleton(fd, path, stat.size)
  } finally {
    closeSync(fd)
  }
  const model = parse(skeleton.bytes, path)
  forEachTensor(model, (tensor) => {
    if (!Object.hasOwn(tensor, 'slice')) return
    const slice = skeleton.slices[tensor.slice!]
    if (!slice)
      throw new OnnxError('MODEL_CORRUPT', 'this is not a valid ONNX file: reserved field used', {
        place: { file: path },
      })
    tensor.rawData = slice
    delete tensor.slice
  })
  return model
}

function openModel(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const what = code === 'ENOENT' ? 'there is no such file' : `the model file can't be opened (${code})`
    throw new OnnxError(code === 'ENOENT' ? 'MODEL_NOT_FOUND' : 'MODEL_NOT_READABLE', what, {
      place: { file: path },
      hint:
        code === 'ENOENT'
          ? 'Check the path of the import; it is relative to the importing module.'
          : 'Check its permissions.',
      cause,
    })
  }
}

function notReadable(path: string, stat: Stats): OnnxError {
  const kind = stat.isDirectory() ? 'a folder' : 'not a regular file'
  return new OnnxError('MODEL_NOT_READABLE', `the model path is ${kind}`, {
    place: { file: path },
    hint: 'Import an .onnx file.',
  })
}

/** Calls `visit` for every tensor of a model: initializers, sparse initializers and attributes, in all graphs and functions. */
export function forEachTensor(model: ModelProto, visit: (tensor: TensorProto) => void): void {
  const sparse = ({ values, indices }: SparseTensorProto): void => {
    if (values) visit(values)
    if (indices) visit(indices)
  }
  const nodes = (list: GraphProto['node']): void => {
    for (const node of list ?? [])
      for (const attribute of node.attribute ?? []) {
        if (attribute.t) visit(attribute.t)
        attribute.tensors?.forEach(visit)
        if (attribute.sparseTensor) sparse(attribute.sparseTensor)
        attribute.sparseTensors?.forEach(sparse)
        if (attribute.g) graph(attribute.g)
        attribute.graphs?.forEach(graph)
      }
  }
  const graph = (proto: GraphProto): void => {
    proto.initializer?.forEach(visit)
    proto.sparseInitializer?.forEach(sparse)
    nodes(proto.node)
  }
  if (model.graph) graph(model.graph)
  for (const fn of model.functions ?? []) nodes(fn.node)
}
