import { Tensor } from '../../../graph/tensor.ts'
import { bytesOf, FileBytes, PiecewiseBytes } from '../../../onnx/bytes.ts'
import { DTYPES } from '../../../onnx/dtypes.ts'
import type { Projection } from './index.ts'

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

/** Weights from this size on stay in their file until they are written. */
const LARGE = 1 << 16

interface Columns {
  tensor: Tensor
  columns: readonly number[]
}

/** Columns of several tensors with equally many rows, side by side. */
function gathered(parts: readonly Columns[]): Tensor {
  const { dtype, dims } = parts[0]!.tensor
  const size = DTYPES[dtype!].bits / 8
  const rows = dims.length === 1 ? 1 : dims[0]!
  const total = parts.reduce((sum, { columns }) => sum + columns.length, 0)
  const shape = dims.length === 1 ? [total] : [rows, total]
  const length = rows * total * size
  const fill = (target: Uint8Array, offset: number): void => fillFrom(parts, size, target, offset)
  const canWait = parts.every(({ tensor: { source } }) => source instanceof Uint8Array || source instanceof FileBytes)
  const data = new PiecewiseBytes(length, fill)
  return Tensor.of(dtype!, shape, canWait && length >= LARGE ? data : data.read())
}

/** Fills `target` with the bytes from `offset` on of the columns side by side; elements have `size` bytes. */
function fillFrom(parts: readonly Columns[], size: number, target: Uint8Array, offset: number): void {
  const inRow = size * parts.reduce((sum, { columns }) => sum + columns.length, 0)
  const first = Math.floor(offset / inRow)
  const end = Math.ceil((offset + target.length) / inRow)
  let at = 0
  for (const { tensor, columns } of parts) {
    const width = size * tensor.dims.at(-1)!
    const bytes = rangeOf(tensor, first * width, end * width)
    for (const { from, length, to } of runsOf(columns))
      for (let row = 0; row < end - first; row++) {
        const place = (first + row) * inRow + (at + to) * size - offset
        const start = row * width + from * size
        const skipped = Math.max(0, -place)
        const taken = Math.min(length * size, target.length - place)
        if (taken > skipped) target.set(bytes.subarray(start + skipped, start + taken), place + skipped)
      }
    at += columns.length
  }
}

/** What is read from files, one range after the other, goes here. */
let scratch = new Uint8Array()

function rangeOf({ source }: Tensor, start: number, end: number): Uint8Array {
  if (!(source instanceof FileBytes)) return bytesOf(source).subarray(start, end)
  if (scratch.length < end - start) scratch = new Uint8Array(end - start)
  return source.slice(start, end - start).read(scratch)
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
