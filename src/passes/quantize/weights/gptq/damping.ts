import type { Model } from '../../../../graph/model.ts'
import type { BlockOptions } from '../../../../kernels/index.ts'
import type { CalibrationData, Feeds } from '../../calibrate/data/index.ts'
import { correctionsOf } from './factor.ts'
import { forHessians, type Hessian, type Source } from './hessians.ts'
import type { Products } from './products.ts'
import { solve } from './solve.ts'

/** What is added to the diagonal of a matrix, relative to its mean, where the data cannot tell: the usual value of GPTQ. */
const USUAL_DAMPING = 0.01
/** What is tried. The best value is flat: a factor of three costs next to nothing. */
const CANDIDATES: readonly number[] = [USUAL_DAMPING, 0.1, 0.3, 1]
/** Weights that are tried, and columns of each. */
const PROBES = 3
const PROBE_COLUMNS = 128

/** A weight to try dampings on. */
export interface Probe extends Source {
  options: BlockOptions
  /** The matrix row by row, [length, columns]. */
  weights(): Float32Array
}

/**
 * Chooses the damping by the data itself: a few weights are quantized with what one half of the samples tells, and the error of their
 * products is measured on the other half, both ways. Few samples say little about how channels go together, and then more
 * damping does better on samples that were not seen.
 *
 * @returns relative to the mean of the diagonal; the usual value where there are no two samples
 */
export async function chooseDamping(
  model: Model,
  probes: readonly Probe[],
  data: CalibrationData,
  context: { threads: number; signal?: AbortSignal | undefined },
  products: Products,
): Promise<number> {
  const chosen = pick(probes)
  const halves = [0, 1].map((parity) => everySecond(data, parity))
  if (!(await hasSample(halves[1]!))) return USUAL_DAMPING
  const [first, second] = [new Map<Probe, Hessian>(), new Map<Probe, Hessian>()]
  for (const [i, matrices] of [first, second].entries())
    await forHessians(model, chosen, halves[i]!, { ...context, products }, async (hessians) => {
      for (const probe of chosen) {
        const hessian = hessians.get(probe.value)
        if (hessian) matrices.set(probe, hessian)
      }
    })
  const losses = CANDIDATES.map(() => 0)
  for (const probe of chosen) {
    const { weights, columns } = narrow(probe)
    for (const [known, unseen] of [[first, second] as const, [second, first] as const])
      for (const [i, damping] of CANDIDATES.entries()) {
        context.signal?.throwIfAborted()
        const corrections = await correctionsOf(known.get(probe)!, damping, products)
        if (!corrections) {
          losses[i] = Number.POSITIVE_INFINITY
          continue
        }
        const loss = await lossOf(probe, weights, columns, corrections, unseen.get(probe)!, products)
        // Weights count by how much better one damping is than another, not by their size.
        if (loss > 0) losses[i]! += Math.log(loss)
      }
  }
  const least = Math.min(...losses)
  return Number.isFinite(least) ? CANDIDATES[losses.indexOf(least)]! : USUAL_DAMPING
}

/** A few of the narrow ones, from all over the model. */
function pick(probes: readonly Probe[]): Probe[] {
  const narrowest = Math.min(...probes.map(({ length }) => length))
  const narrow = probes.filter(({ length }) => length <= narrowest * 2)
  if (narrow.length <= PROBES) return narrow
  return Array.from({ length: PROBES }, (_, i) => narrow[Math.floor(((i + 0.5) * narrow.length) / PROBES)]!)
}

function everySecond(data: CalibrationData, parity: number): CalibrationData {
  return {
    async *open(): AsyncGenerator<Feeds> {
      let at = 0
      for await (const feeds of data.open()) if (at++ % 2 === parity) yield feeds
    },
  }
}

async function hasSample(data: CalibrationData): Promise<boolean> {
  for await (const _ of data.open()) return true
  return false
}

/** The first columns. */
function narrow({ length, weights }: Probe): { weights: Float32Array; columns: number } {
  const all = weights()
  const width = all.length / length
  const columns = Math.min(PROBE_COLUMNS, width)
  const result = new Float32Array(length * columns)
  for (let k = 0; k < length; k++) result.set(all.subarray(k * width, k * width + columns), k * columns)
  return { weights: result, columns }
}

/** What the rounding of a weight adds to the squares of its product, on the inputs of a matrix. */
async function lossOf(
  { length, options }: Probe,
  weights: Float32Array,
  columns: number,
  corrections: Float32Array,
  { sums }: Hessian,
  products: Products,
): Promise<number> {
  const { codes, scales, zeroPoints, blocks } = await solve(weights, columns, corrections, options, products)
  const errors = new Float32Array(length * columns)
  for (let k = 0; k < length; k++)
    for (let n = 0; n < columns; n++) {
      const block = n * blocks + Math.floor(k / options.blockSize)
      errors[k * columns + n] =
        weights[k * columns + n]! - (codes[k * columns + n]! - zeroPoints[block]!) * scales[block]!
    }
  const along = await products.multiply(sums, errors, length)
  let sum = 0
  for (let i = 0; i < errors.length; i++) sum += along[i]! * errors[i]!
  return sum
}
