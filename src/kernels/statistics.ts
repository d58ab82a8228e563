import { CHUNK, type FloatInput, forEachChunk, lengthOf, loader } from './floats.ts'
import { bytesAt, frame } from './memory.ts'
import { wasm } from './module.ts'

/** How alike two tensors are. All sums are taken in double precision. */
export interface Comparison {
  readonly dot: number
  /** Sum of squares of the first, of the second, and of the difference. */
  readonly squaresA: number
  readonly squaresB: number
  readonly squaresDifference: number
  /** Largest absolute difference. */
  readonly maxDifference: number
  /** Cosine of the angle between them; 1 of two zero tensors, 0 if only one is zero. */
  readonly cosine: number
  /** Signal to noise ratio in dB, the first being the signal: Infinity when equal. */
  readonly sqnr: number
}

/** Compares two tensors of one length element by element. NaN anywhere makes everything NaN that it goes into. */
export function compare(a: FloatInput, b: FloatInput): Comparison {
  const length = lengthOf(a)
  if (length !== lengthOf(b)) throw new RangeError(`${length} elements cannot be compared with ${lengthOf(b)}`)
  return frame((allocate) => {
    const capacity = Math.min(CHUNK, length)
    const [x, y] = [loader(a, allocate, capacity), loader(b, allocate, capacity)]
    const result = allocate(40)
    bytesAt(result, 40).fill(0)
    for (let start = 0; start < length; start += CHUNK) {
      const count = Math.min(CHUNK, length - start)
      x.load(start, count)
      y.load(start, count)
      wasm().compare(x.pointer, y.pointer, count, result)
    }
    const [dot, squaresA, squaresB, squaresDifference, most] = doublesAt(result, 5) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ]
    const maxDifference = Number.isNaN(squaresDifference) ? Number.NaN : most
    const norms = Math.sqrt(squaresA) * Math.sqrt(squaresB)
    const cosine = norms === 0 ? Number(squaresA === squaresB) : dot / norms
    const sqnr = squaresDifference === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(squaresA / squaresDifference)
    return { dot, squaresA, squaresB, squaresDifference, maxDifference, cosine, sqnr }
  })
}

function doublesAt(pointer: number, length: number): Float64Array {
  return new Float64Array(wasm().memory.buffer, pointer, length)
}

/** Counts of values (or magnitudes) in equal intervals; add to it tensor by tensor. */
export interface Histogram {
  readonly low: number
  readonly high: number
  /** Counts of the intervals; the last one includes `high`. */
  readonly counts: Float64Array<ArrayBuffer>
  /** Values outside the range. */
  below: number
  above: number
  nan: number
}

/** An empty histogram of `bins` intervals over `low`..`high`. */
export function histogram(low: number, high: number, bins: number): Histogram {
  if (!(high > low && Number.isFinite(high - low))) throw new RangeError(`no histogram over ${low}..${high}`)
  if (!(Number.isInteger(bins) && bins > 0)) throw new RangeError(`${bins} bins`)
  return { low, high, counts: new Float64Array(bins), below: 0, above: 0, nan: 0 }
}

/** Counts the values of a tensor in, or their magnitudes. */
export function addToHistogram(into: Histogram, input: FloatInput, magnitudes = false): void {
  const { low, high, counts } = into
  const bins = counts.length
  frame((allocate) => {
    const pointer = allocate((bins + 3) * 8)
    doublesAt(pointer, bins + 3).fill(0)
    forEachChunk(input, (x, _start, count) =>
      wasm().histogram(x, count, magnitudes ? 1 : 0, low, high, bins / (high - low), bins, pointer),
    )
    const added = doublesAt(pointer, bins + 3)
    for (let i = 0; i < bins; i++) counts[i]! += added[i]!
    into.below += added[bins]!
    into.above += added[bins + 1]!
    into.nan += added[bins + 2]!
  })
}
