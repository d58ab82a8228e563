import { Tensor } from '../../graph/tensor.ts'
import { DTYPES } from '../../onnx/dtypes.ts'
import type { Projection } from './projection.ts'

type Part = Pick<Projection, 'weight' | 'bias' | 'columns'>

/** Weights of query, key and value side by side, [width, q + k + v]; the tensor itself where it is packed so already. */
export function packedWeights(parts: readonly Part[]): Tensor {
  const { weight } = parts[0]!
  if (isPacked(parts)) return weight
  return gathered(parts.map(({ weight: tensor, columns }) => ({ tensor, columns })))
}

/** Biases one after the other, zeros for those that are not there. */
export function packedBias(parts: readonly Part[]): Tensor {
  const { bias } = parts[0]!
  if (bias && isPacked(parts)) return bias
  const dtype = parts[0]!.weight.dtype!
  const size = DTYPES[dtype].bits / 8
  return gathered(
    parts.map(({ bias: tensor, columns, weight }) => {
      const width = weight.dims[1]!
      return { tensor: tensor ?? Tensor.of(dtype, [width], new Uint8Array(width * size)), columns }
    }),
  )
}

/** Columns of several tensors with equally many rows, side by side. */
function gathered(parts: readonly { tensor: Tensor; columns: readonly number[] }[]): Tensor {
  const { dtype, dims } = parts[0]!.tensor
  const size = DTYPES[dtype!].bits / 8
  const rows = dims.length === 1 ? 1 : dims[0]!
  const total = parts.reduce((sum, { columns }) => sum + columns.length, 0)
  const data = new Uint8Array(rows * total * size)
  let at = 0
  for (const { tensor, columns } of parts) {
    const bytes = tensor.bytes()
    const width = tensor.dims.at(-1)!
    for (const { from, length, to } of runsOf(columns))
      for (let row = 0; row < rows; row++)
        data.set(
          bytes.subarray((row * width + from) * size, (row * width + from + length) * size),
          (row * total + at + to) * size,
        )
    at += columns.length
  }
  return Tensor.of(dtype!, dims.length === 1 ? [total] : [rows, total], data)
}

/** Columns that follow each other, as ranges. */
function runsOf(columns: readonly number[]): { from: number; length: number; to: number }[] {
  const runs: { from: number; length: number; to: number }[] = []
  for (const [to, from] of columns.entries()) {
    const last = runs.at(-1)
    if (last && last.from + last.length === from) last.length++
    else runs.push({ from, length: 1, to })
  }
  return runs
}

function isPacked(parts: readonly Part[]): boolean {
  const { weight, bias } = parts[0]!
  const columns = parts.flatMap((part) => part.columns)
  return (
    parts.every((part) => part.weight === weight && part.bias === bias) &&
    columns.length === weight.dims[1] &&
    columns.every((column, i) => column === i)
  )
}
