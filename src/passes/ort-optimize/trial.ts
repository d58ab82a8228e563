import type { Model } from '../../graph/model.ts'
import { Tensor } from '../../graph/tensor.ts'
import type { Dim } from '../../graph/types.ts'
import { DTYPES } from '../../onnx/dtypes.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { OrtService } from '../../ort/service.ts'
import type { Session } from '../../ort/session.ts'
import { canCross } from '../../ort/tensors.ts'
import { isDeterministic } from '../clean/determinism.ts'

type Results = Record<string, Tensor>

/** Inputs made up for a model, and what the model makes of them. */
export interface Trial {
  feeds: Results
  expected: Results
  /** Largest difference that reordered arithmetic explains; see `distance`. */
  tolerance: number
}

/** Difference that the tanh approximation of Gelu makes at most. */
export const APPROXIMATION = 1e-2

/** Sizes that dynamic dimensions get, until the model runs. */
const SIZES = [2, 1, 4, 8, 32]

/**
 * Runs a model file on made-up inputs. `least` is a tolerance for what was asked to be inexact. Undefined if nothing can be learnt that way: it draws random numbers, takes inputs other
 * than tensors, or refuses all that was tried.
 */
export async function makeTrial(model: Model, file: string, ort: OrtService, least = 0): Promise<Trial | undefined> {
  const nodes = [...model.allNodes()]
  if (nodes.some((node) => !isDeterministic(node) && !node.subgraphs.length)) return undefined
  const session = await ort.open(file, FAST)
  try {
    for (const size of SIZES) {
      const feeds = feedsFor(model, size)
      if (!feeds) return undefined
      try {
        const expected = await session.run(feeds)
        return { feeds, expected, tolerance: Math.max(least, toleranceOf(model)) }
      } catch (error) {
        if (!(error instanceof OnnxError)) throw error
      }
    }
    return undefined
  } finally {
    await session.release()
  }
}

/** Session options for a session that runs once: no copies of weights in other layouts. */
export const FAST = { extra: { session: { disable_prepacking: '1' } } } as const

/** True if a session of a changed model gives what the trial expects. */
export async function passes(trial: Trial, session: Session): Promise<boolean> {
  const actual = await session.run(trial.feeds)
  return Object.entries(trial.expected).every(([name, wanted]) => {
    const got = actual[name]
    return got !== undefined && distance(got, wanted) <= trial.tolerance
  })
}

/** Quantized models may land on the next step of their grid, half precision has three digits. */
function toleranceOf(model: Model): number {
  let tolerance = 1e-4
  for (const node of model.allNodes()) {
    if (/Quantize|Integer|QLinear/.test(node.opType)) return 0.1
    if (node.outputs.some((value) => value?.dtype === 'float16' || value?.dtype === 'bfloat16')) tolerance = 1e-2
  }
  for (const value of [...model.graph.inputs, ...model.graph.outputs, ...model.graph.initializers])
    if (value.dtype === 'float16' || value.dtype === 'bfloat16') tolerance = 1e-2
  return tolerance
}

/** Length of the difference by length of the expected vector; infinite if type, shape, NaNs or infinities differ. */
export function distance(actual: Tensor, expected: Tensor): number {
  if (actual.dtype !== expected.dtype || actual.dims.join() !== expected.dims.join()) return Number.POSITIVE_INFINITY
  if (actual.dtype === 'string')
    return actual.toStrings().join('\0') === expected.toStrings().join('\0') ? 0 : Number.POSITIVE_INFINITY
  const [a, b] = [actual.toNumbers(), expected.toNumbers()]
  let error = 0
  let size = 0
  for (const [i, wanted] of b.entries()) {
    const got = a[i]!
    if (Object.is(got, wanted) || got === wanted) {
      if (Number.isFinite(wanted)) size += wanted * wanted
      continue
    }
    if (!Number.isFinite(got) || !Number.isFinite(wanted)) return Number.POSITIVE_INFINITY
    error += (got - wanted) ** 2
    size += wanted * wanted
  }
  return error === 0 ? 0 : Math.sqrt(error / Math.max(size, 1e-12 * b.length))
}

function feedsFor(model: Model, size: number): Results | undefined {
  const feeds: Results = {}
  for (const [i, input] of model.graph.inputs.entries()) {
    if (input.tensor) continue
    const { dtype, shape } = input
    if (!dtype || !shape || !canCross(dtype) || !['int', 'float', 'bool'].includes(DTYPES[dtype].kind)) return undefined
    const dims = shape.map((dim) => sizeOf(dim, size))
    const count = dims.reduce((product, dim) => product * dim, 1)
    if (count > 1 << 26) return undefined
    feeds[input.name] = Tensor.from(dtype, dims, numbers(count, i, DTYPES[dtype].kind))
  }
  return feeds
}

/** `past + sequence` is the sum of both. */
function sizeOf(dim: Dim, size: number): number {
  if (typeof dim === 'number' && dim >= 0) return dim
  if (typeof dim !== 'string') return size
  return dim
    .split('+')
    .map((part) => (/^\s*\d+\s*$/.test(part) ? Number(part) : size))
    .reduce((sum, part) => sum + part, 0)
}

/** Floats between -1 and 1; zeros and ones for integers, which are often indices or masks. */
function numbers(count: number, seed: number, kind: string): number[] {
  let state = (seed + 1) * 2654435761
  return Array.from({ length: count }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0
    const fraction = ((state ^ (state >>> 13)) >>> 0) / 2 ** 32
    return kind === 'float' ? 2 * fraction - 1 : fraction < 0.5 ? 0 : 1
  })
}
