import { decodeFile, forEachTensor } from '../onnx/decode.ts'
import { byteLengthOf, dtypeOf } from '../onnx/dtypes.ts'
import { externalReference, openExternal } from '../onnx/external.ts'
import type { TensorProto } from '../onnx/proto.ts'

/** `TensorProto.data_location` for data in another file. */
const EXTERNAL = 1

/** A data file of a model: the name the model has for it, and where it really is. */
export interface ExternalFile {
  location: string
  path: string
}

/**
 * The data files that a model names, each once, in the order of its tensors.
 *
 * @throws OnnxError if the file is no model, or a data file is missing, too short, or outside the model's folder
 */
export function externalTensorFiles(file: string): ExternalFile[] {
  const paths = new Map<string, string>()
  forEachTensor(decodeFile(file), (tensor) => {
    if (tensor.dataLocation !== EXTERNAL) return
    const name = tensor.name || '(unnamed)'
    const reference = externalReference(tensor.externalData ?? [], name, file)
    const bytes = openExternal(reference, byteLength(tensor) ?? reference.length ?? 0, name, file)
    paths.set(reference.location, bytes.file.path)
  })
  return [...paths].map(([location, path]) => ({ location, path }))
}

/** Size of a tensor's data, undefined for types that are too new. */
function byteLength({ dataType, dims }: TensorProto): number | undefined {
  const dtype = dtypeOf(dataType ?? 0)
  return (
    dtype &&
    byteLengthOf(
      dtype,
      (dims ?? []).reduce<number>((product, dim) => product * Number(dim), 1),
    )
  )
}
