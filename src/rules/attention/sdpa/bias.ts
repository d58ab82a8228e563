import { Tensor } from '../../../graph/tensor.ts'
import { type Dim, tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { codeOf, type DType } from '../../../onnx/dtypes.ts'
import { no } from '../../../rewrite/index.ts'
import { isGatedMask } from '../mask/content.ts'
import { arranged, type Tools } from '../mask/layout.ts'
import type { Layout } from './layout.ts'
import { uniformOf } from './numbers.ts'
import type { Path, Step } from './scores.ts'
import { absorbs, goesDownTo, isFixed } from './terms.ts'

/** What happens to the product of query and key. */
export interface Bias {
  scale: number
  /** Scores are `softcap * tanh(scaled product / softcap)` before that. */
  softcap: number | undefined
  /** Added to the scaled product: [batch or 1, heads or 1, length or 1, total or 1]; undefined where nothing is added. */
  bias: Value | undefined
  /** Multiplies the rows of the query: [batch or 1, heads or 1, length or 1, 1]. */
  rows: Value | undefined
}

/** Masks with such numbers hide what is filled with less. */
const LOW = -1e31
/** Swallows scores, and is far above what hides more. */
const BETWEEN = -1e30
/** The lowest number that adding a score to leaves as it is. */
const SWALLOWING = -3.4028234663852886e38

/**
 * Makes one additive mask of everything that happens to the scores. A Where with a fill that swallows any score is the addition
 * of that fill.
 */
export function biasOf(build: Tools, { steps }: Path, layout: Layout): Bias {
  let scale = 1
  /** What the product is multiplied with before it is capped. */
  let inner: number | undefined
  let bias: Value | undefined
  let rows: Value | undefined
  const { op } = build
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!
    const axes = layout.steps[i]!
    if (step.kind === 'scale') {
      scale *= step.factor
      if (bias) bias = op.Mul(bias, step.factor)
    } else if (step.kind === 'rows') {
      if (inner !== undefined) throw no('multiplies scores that are capped', step.factor)
      const factor = arranged(build, step.factor, axes, layout)
      const own = step.divides ? op.Div(one(build, factor), factor) : factor
      rows = rows ? op.Mul(rows, own) : own
      if (bias) bias = op.Mul(bias, own)
    } else if (step.kind === 'add') {
      if (uniformOf(step.term) === 0) continue
      const term = arranged(build, step.term, axes, layout)
      const signed = step.sign === 1 ? term : op.Neg(term)
      bias = bias ? op.Add(bias, signed) : signed
    } else if (step.kind === 'tanh') {
      if (bias || rows || inner !== undefined)
        throw no('caps scores that are masked or capped already', layout.query.stages.at(-1)!.value)
      inner = scale
      scale = 1
    } else if (step.kind === 'floor') {
      if (bias) bias = op.Max(bias, step.number)
    } else if (step.kind === 'where') {
      const { dtype } = step.fill
      const number = uniformOf(step.fill)
      if (number === undefined || !dtype) throw no('fills scores with more than one number', step.fill)
      const fill = step.isZeroed ? Number.NEGATIVE_INFINITY : fillOf(number, dtype, step.condition, steps, i + 1)
      if (fill === undefined)
        throw no(`fills scores with ${number}, which rows that are masked as a whole would feel`, step.fill)
      bias = filled(build, arranged(build, step.condition, axes, layout), step.keeps, dtype, fill, bias)
    } else if (step.kind === 'gate') {
      const next = steps[i + 1]
      const { dtype } = step.gate
      const isMask = next?.kind === 'add' && isGatedMask(step.gate, next.term, next.sign, axes)
      if (!isMask || !dtype) throw no('is multiplied into the scores and is no mask of 0 and 1', step.gate)
      const fill = fillOf(-1e4, dtype, step.gate, steps, i + 2)
      if (fill === undefined) throw no('masks scores that something else is added to', step.gate)
      const condition = op.Cast(arranged(build, step.gate, axes, layout), { to: codeOf('bool') })
      bias = filled(build, condition, true, dtype, fill, bias)
      i++
    }
  }
  return inner === undefined
    ? { scale, softcap: undefined, bias, rows }
    : { scale: inner * scale, softcap: scale, bias, rows }
}

/**
 * The number to add where a fill takes a score's place. One that is out of every score's reach, but does not swallow it, means the
 * same as one that does: hidden keys get nothing, and in a row without any key all are equal.
 */
function fillOf(
  number: number,
  dtype: DType,
  condition: Value,
  steps: readonly Step[],
  next: number,
): number | undefined {
  if (absorbs(number, dtype)) return number
  if (number > -1e4) return undefined
  if (isFixed(condition)) {
    // Beside a mask that hides more, such a fill decides what rows without any key see: there it may not take scores in.
    const isBeside = steps.some((step) => step.kind === 'add' && goesDownTo(LOW, step.term))
    return dtype === 'float32' && isBeside ? BETWEEN : number
  }
  const later = steps.slice(next)
  return dtype === 'float32' && later.every(({ kind }) => kind === 'reshape') ? SWALLOWING : undefined
}

function filled(
  build: Tools,
  condition: Value,
  keeps: boolean,
  dtype: DType,
  number: number,
  bias: Value | undefined,
): Value {
  const fill = build.constant(Tensor.from(dtype, [], [number]), 'fill')
  const kept = bias ?? build.constant(Tensor.from(dtype, [], [0]), 'zero')
  const result = keeps ? build.op.Where(condition, kept, fill) : build.op.Where(condition, fill, kept)
  const open: readonly Dim[] = [null, null, null, null]
  result.type = tensorType(dtype, kept.rank === 4 ? open : condition.shape)
  return result
}

const one = (build: Tools, like: Value): Value => build.constant(Tensor.from(like.dtype ?? 'float32', [], [1]), 'one')
