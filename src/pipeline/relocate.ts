import { decodeFile, forEachTensor } from '../onnx/decode.ts'
import { encodeModel, writeSegments } from '../onnx/encode.ts'

/** `TensorProto.data_location` for data in another file. */
const EXTERNAL = 1

/** Writes a model again with other names of its data files; nothing else of it changes. */
export async function relocate(from: string, to: string, locations: ReadonlyMap<string, string>): Promise<void> {
  const proto = decodeFile(from)
  forEachTensor(proto, (tensor) => {
    if (tensor.dataLocation !== EXTERNAL) return
    for (const entry of tensor.externalData ?? [])
      if (entry.key === 'location') entry.value = locations.get(entry.value ?? '') ?? entry.value ?? ''
  })
  await writeSegments(to, encodeModel(proto).segments())
}
