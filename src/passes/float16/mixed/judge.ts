import type { Tensor } from '../../../graph/tensor.ts'
import { hiddenRows, maskOf } from '../../../measure/hidden.ts'
import type { Feeds, IsolatedSession } from '../../../measure/isolated.ts'
import { type Bars, difference, isWithin } from '../../../measure/metrics.ts'
import { feedsOf } from '../../../measure/versus.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import { loadFunction } from '../../user-function.ts'
import { withoutExit } from '../../without-exit.ts'

/** Outputs of one run by name. */
export type Outputs = Readonly<Record<string, Tensor>>

/** What a user's function gets for each output. */
export interface PlainTensor {
  dims: readonly number[]
  data: number[]
}

/** A user's own measure: outputs of the float32 model and of a candidate, input by input -> good enough or not. */
export type Validate = (
  expected: readonly Record<string, PlainTensor>[],
  found: readonly Record<string, PlainTensor>[],
) => boolean | Promise<boolean>

/** Bars, and a function of the user's. */
export interface Criteria extends Bars {
  validate?: Validate | undefined
}

/** Decides whether outputs are good enough: within the bars, and accepted by the user's function if there is one. */
export class Judge {
  readonly #bars: Criteria

  constructor(bars: Criteria) {
    this.#bars = bars
  }

  /** The bars alone, on the outputs of one input. */
  isClose(found: Outputs, expected: Outputs, feeds: Feeds): boolean {
    const mask = maskOf(feeds)
    const { rtol = 0, atol = 0 } = this.#bars
    return Object.entries(expected).every(([name, tensor]) => {
      const hidden = mask && hiddenRows(tensor, mask)
      return isWithin(difference(found[name]!, tensor, { rtol, atol }, hidden), this.#bars)
    })
  }

  /** True if there is one number that says how far outputs are from the bar: the cosine alone decides. */
  get isGraded(): boolean {
    const { cosine, rtol, atol, validate } = this.#bars
    return cosine < 1 && cosine > -1 && rtol === undefined && atol === undefined && !validate
  }

  /** The share of the allowed distance that the worst output of one input takes. */
  share(found: Outputs, expected: Outputs, feeds: Feeds): number {
    const mask = maskOf(feeds)
    const shares = Object.entries(expected).map(([name, tensor]) => {
      const row = difference(found[name]!, tensor, { rtol: 0, atol: 0 }, mask && hiddenRows(tensor, mask))
      return row.broken || row.mismatch ? Number.POSITIVE_INFINITY : (1 - row.cosine) / (1 - this.#bars.cosine)
    })
    return Math.max(0, ...shares)
  }

  /** The bars and the user's function, on all outputs. */
  async accepts(found: readonly Outputs[], expected: readonly Outputs[], feeds: readonly Feeds[]): Promise<boolean> {
    if (!found.every((outputs, i) => this.isClose(outputs, expected[i]!, feeds[i]!))) return false
    const { validate } = this.#bars
    if (!validate) return true
    try {
      return (await withoutExit(() => validate(expected.map(plain), found.map(plain)))) === true
    } catch (cause) {
      throw new OnnxError('VALIDATE_THREW', `the function that validates outputs failed: ${(cause as Error).message}`, {
        cause,
      })
    }
  }

  /** Feeds in the types that a converted model takes. */
  feedsOf(session: IsolatedSession, feeds: Feeds): Feeds {
    return feedsOf(session, feeds)
  }
}

function plain(outputs: Outputs): Record<string, PlainTensor> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, { dims: tensor.dims, data: tensor.toNumbers() }]),
  )
}

/** @throws OnnxError `VALIDATE_INVALID` if the module's default export is no function */
export function loadValidate(file: string): Promise<Validate> {
  return loadFunction(file, {
    code: 'VALIDATE_INVALID',
    purpose: 'validates outputs',
    example: '(expected, found) => boolean',
  })
}
