import type { AdapterTensor } from '../../onnx/adapters/index.ts'
import { DTYPES } from '../../onnx/dtypes.ts'
import type { Slot } from './files.ts'

/** Weights of all layers of one kind and size, as packing names them. */
const PACKED = /^(\w+)\.packed_(\d+)$/

/**
 * Takes apart what packing joined: `lora_A.packed_768` becomes the weights of all layers whose A has 768 rows, in the
 * order of the model. What does not fit stays as it is.
 */
export function unpack(given: readonly AdapterTensor[], slots: readonly Slot[]): AdapterTensor[] {
  return given.flatMap((tensor) => {
    const [, kind, length] = PACKED.exec(tensor.name) ?? []
    const members = slots.filter(
      (slot) => slot.kind === kind && slot.like.dims[slot.rankAxis === 0 ? 1 : 0] === Number(length),
    )
    const axis = members[0]?.rankAxis === 0 ? 1 : 0
    const isWhole = tensor.dims[axis] === Number(length) * members.length
    return isWhole ? members.map(({ name }, at) => slice(tensor, name, { axis, at, length: Number(length) })) : [tensor]
  })
}

/** Part `at` of `length` along an axis of a matrix or vector. */
function slice(
  { dtype, dims, data }: AdapterTensor,
  name: string,
  { axis, at, length }: { axis: 0 | 1; at: number; length: number },
): AdapterTensor {
  const [rows, columns = 1] = dims as [number, number?]
  const width = DTYPES[dtype].bits / 8
  const resized = dims.map((dim, i) => (i === axis ? length : dim))
  if (axis === 0) {
    const size = length * columns * width
    return { name, dtype, dims: resized, data: data.subarray(at * size, (at + 1) * size) }
  }
  const part = new Uint8Array(rows * length * width)
  for (let row = 0; row < rows; row++) {
    const from = (row * columns + at * length) * width
    part.set(data.subarray(from, from + length * width), row * length * width)
  }
  return { name, dtype, dims: resized, data: part }
}
