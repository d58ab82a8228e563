import { existsSync } from 'node:fs'
import { readModel } from '../../src/graph/import.ts'
import type { Model } from '../../src/graph/model.ts'
import { forgetNames, propagateShapes } from '../../src/graph/shapes/index.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { readNumpyFile } from '../../src/onnx/npz.ts'
import { createOrtService } from '../../src/ort/service.ts'
import { type RewriteOptions, type RewriteResult, type Rule, rewrite } from '../../src/rewrite/index.ts'
import { attentionPhases } from '../../src/rules/attention/index.ts'
import { legalityOf } from '../../src/rules/legality.ts'
import { shared } from './shared.ts'

export type Feeds = Record<string, Tensor>

export const ort: ReturnType<typeof createOrtService> = createOrtService()

/** Runs the attention rules on a model with all its types, as the pass does. */
export async function fuseAttention(
  model: Model,
  phases: readonly (readonly Rule[])[] = attentionPhases
    .filter(({ onRequest }) => !onRequest)
    .map(({ rules }) => rules),
  options: RewriteOptions = {},
): Promise<RewriteResult> {
  await ort.inferTypes(model)
  propagateShapes(model, { named: true })
  const result = rewrite(model, phases, { strict: true, allows: legalityOf('cpu'), ...options })
  forgetNames(model)
  return result
}

/** A shared model of our own. */
export function ownModel(name: string): Model {
  return readModel(shared(`own/${name}.onnx`))
}

/** The saved inputs of a shared model, and the same with other attention masks: full, left-padded, with holes, right-padded. */
export function feedsOf(name: string): Feeds[] {
  const files = ['', '2', '3'].map((i) => shared(`own/${name}-inputs${i}.npz`)).filter(existsSync)
  return files.flatMap((file) => {
    const feeds: Feeds = {}
    for (const [input, array] of readNumpyFile(file))
      if (array.dtype !== 'string') feeds[input] = Tensor.of(array.dtype, array.dims, array.data)
    return withMasks(feeds)
  })
}

const MASKS: ((row: number, column: number, columns: number) => boolean)[] = [
  () => true,
  (row, column) => column > row % 3,
  (row, column) => (row + column) % 3 !== 1,
  (row, column, columns) => column < columns - 1 - row,
]

/** The feeds as they are, and with each kind of mask. */
export function withMasks(feeds: Feeds): Feeds[] {
  const name = Object.keys(feeds).find((input) => input.includes('attention_mask'))
  if (!name) return [feeds]
  const { dtype, dims } = feeds[name]!
  const columns = dims[1]!
  return [
    feeds,
    ...MASKS.map((isSeen) => {
      const numbers = Array.from({ length: dims[0]! * columns }, (_, i) =>
        isSeen(Math.floor(i / columns), i % columns, columns) ? 1 : 0,
      )
      return { ...feeds, [name]: Tensor.from(dtype!, dims, numbers) }
    }),
  ]
}

/** Largest absolute difference of two results; infinite where shapes differ or only one number is NaN. */
export function difference(a: Readonly<Feeds>, b: Readonly<Feeds>): number {
  let worst = 0
  for (const [name, tensor] of Object.entries(a)) {
    const [x, y] = [tensor.toNumbers(), b[name]?.toNumbers() ?? []]
    if (x.length !== y.length) return Number.POSITIVE_INFINITY
    for (const [i, number] of x.entries()) {
      const error = Object.is(number, y[i]) ? 0 : Math.abs(number - y[i]!)
      if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error
    }
  }
  return worst
}
