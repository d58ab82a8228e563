import { Tensor } from '../src/graph/tensor.ts'
import { readNumpyFile } from '../src/onnx/npz.ts'

/** The numeric arrays of an `.npz` file as tensors, by name. */
export function readTensors(file: string): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>()
  for (const [name, array] of readNumpyFile(file))
    if (array.dtype !== 'string') tensors.set(name, Tensor.of(array.dtype, array.dims, array.data))
  return tensors
}
