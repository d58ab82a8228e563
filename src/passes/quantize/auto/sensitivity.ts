import { withFloats } from '../../../graph/float-data.ts'
import type { Value } from '../../../graph/value.ts'
import { toFloat32 } from '../../../kernels/index.ts'
import type { Statistics } from '../calibrate/statistics.ts'
import type { Formula } from './params.ts'
import type { Unit } from './units.ts'

/** Weights that share a scale by default. */
const BLOCK = 32

/**
 * How much noise a formula adds to the result of a unit, relative to the result: an estimate from the weight and from what one run over
 * the data told of the input (its range, and the mean square of each channel), with roundings spread evenly over a step.
 */
export function noiseOf(
  { node, weight }: Unit,
  formula: Formula,
  blockSize: number | undefined,
  seen: ReadonlyMap<Value, Statistics>,
): number {
  const tensor = weight.constant!
  const data = withFloats(tensor, toFloat32)
  const dims = tensor.dims
  // The weight as rows that are summed up times columns.
  const isConv = node.opType.startsWith('Conv')
  const byColumns = isConv || (node.opType === 'Gemm' && node.int('transB', 0) !== 0)
  const columns = byColumns ? dims[0]! : dims.at(-1)!
  const rows = data.length / columns
  const at = byColumns ? (k: number, n: number) => n * rows + k : (k: number, n: number) => k * columns + n
  const input = node.opType === 'Gather' ? undefined : node.input(0)
  const statistics = input && seen.get(input)
  const power = powerOf(statistics, rows)
  const inBlocks = formula.endsWith('bit')
  const length = inBlocks ? (blockSize ?? BLOCK) : rows
  const steps = formula === '4bit' ? 15 : 255
  let signal = 0
  let weights = 0
  let noise = 0
  for (let n = 0; n < columns; n++)
    for (let first = 0; first < rows; first += length) {
      const last = Math.min(rows, first + length)
      let [least, most, squares] = [0, 0, 0]
      for (let k = first; k < last; k++) {
        const value = data[at(k, n)]!
        const mean = power(k)
        if (value < least) least = value
        if (value > most) most = value
        weights += value * value
        signal += value * value * mean
        squares += mean
      }
      const step = inBlocks ? (most - least) / steps : Math.max(most, -least) / 127
      noise += (step * step * squares) / 12
    }
  if (statistics && !inBlocks && statistics.max >= statistics.min) {
    const step = (Math.max(0, statistics.max) - Math.min(0, statistics.min)) / 255
    noise += (step * step * weights) / 12
  }
  return signal > 0 ? noise / signal : 0
}

/** Mean square of the input that row `k` of the weight meets. */
function powerOf(statistics: Statistics | undefined, rows: number): (k: number) => number {
  if (!statistics?.count || !statistics.squares.length) return () => 1
  const { squares, count } = statistics
  const perRow = rows / squares.length
  if (!Number.isInteger(perRow)) {
    const mean = squares.reduce((sum, value) => sum + value, 0) / count
    return () => mean
  }
  const each = count / squares.length
  return (k) => squares[Math.floor(k / perRow)]! / each
}
