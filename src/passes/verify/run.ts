import type { Model } from '../../graph/model.ts'
import { inputPaths } from '../../measure/inputs/files.ts'
import { type Bars, type Difference, isWithin } from '../../measure/metrics.ts'
import { roundsResults } from '../../measure/rounded.ts'
import { type ValueDifference, Versus } from '../../measure/versus.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { PassContext, PassResult } from '../pass.ts'
import type { VerifyOptions } from './index.ts'

/** Default of `verifyCosine` and `verifySamples`. */
const COSINE = 0.99
const SAMPLES = 4

/**
 * Compares `model` with the file it came from.
 *
 * @returns the differences per output, as data of the report
 * @throws OnnxError `VERIFY_FAILED`, naming the output and the first value inside that is wrong
 */
export async function run(model: Model, options: VerifyOptions, context: PassContext): Promise<PassResult> {
  const bar: Bars = { cosine: options.verifyCosine ?? COSINE, rtol: options.verifyRtol, atol: options.verifyAtol }
  const tolerance = { rtol: bar.rtol ?? 0, atol: bar.atol ?? 0 }
  const versus = await Versus.open(context.file, model, roundsResults(context.device))
  try {
    const files = inputPaths(options.verifyInputs, context.file)
    const result = await versus.compare({ files, samples: options.verifySamples ?? SAMPLES, tolerance })
    const failed = result.outputs.filter((row) => !isWithin(row, bar))
    const random = failed.length ? await versus.randomOutputs({ rtol: 1e-3, atol: 1e-5 }) : new Set<string>()
    const wrong = failed.find(({ name }) => !random.has(name))
    if (wrong) throw await explain(versus, wrong, bar, hasHalves(model))
    if (random.size)
      context.note({
        level: 'warn',
        code: 'verify/random',
        message: `not verified, as the original itself gives other numbers at each run: ${[...random].join(', ')}`,
      })
    const worst = result.outputs.reduce((most, row) => (row.cosine < most.cosine ? row : most), result.outputs[0]!)
    if (worst)
      context.note({
        level: 'info',
        code: 'verify/passed',
        message: `verified on ${result.samples} inputs: the output least like the original is "${worst.name}", ${describe(worst)}`,
      })
    const outputs = result.outputs.map((row) => ({ ...row, sqnr: Number.isFinite(row.sqnr) ? row.sqnr : null }))
    return { changes: 0, data: { samples: result.samples, inputs: files.length ? 'given' : 'generated', outputs } }
  } finally {
    versus.close()
  }
}

async function explain(versus: Versus, row: ValueDifference, bar: Bars, hasHalves: boolean): Promise<OnnxError> {
  const tolerance = { rtol: bar.rtol ?? 0, atol: bar.atol ?? 0 }
  // What is inside is looked at to help; if that fails (an operator that can't be watched) the verdict stands.
  const inside = await versus.lookInside({ tolerance }).catch(() => [])
  const first = inside.find((value) => !isWithin(value, bar))
  const where = first && `${first.name} (${versus.labelOf(first.name)}): ${describe(first)}`
  return new OnnxError(
    'VERIFY_FAILED',
    `the result is not what the original gives: "${row.name}" ${describe(row, bar)}`,
    {
      ...(first ? { place: { node: versus.labelOf(first.name) } } : {}),
      hint: where
        ? `It first goes wrong at ${where}.${first?.broken && hasHalves ? ' precision=mixed keeps float16 in range.' : ''}`
        : 'All values inside that both models have are right: the fault is in what was fused, or at the outputs.',
    },
  )
}

function hasHalves({ graph }: Model): boolean {
  return [...graph.nodes()].some(({ outputs }) => outputs.some((value) => value?.dtype === 'float16'))
}

function describe(row: Difference, bar?: Bars): string {
  if (row.mismatch) return `has the ${row.mismatch}`
  if (row.broken) return `has ${row.broken} of ${row.elements} values that are NaN or infinite`
  const cosine = `cosine ${row.cosine.toFixed(6)}${bar && row.cosine < bar.cosine ? `, not ${bar.cosine}` : ''}`
  const outside = bar && (bar.rtol !== undefined || bar.atol !== undefined) && row.outside
  return `${cosine}, largest error ${row.maxAbs.toPrecision(3)}${outside ? `, ${row.outside} of ${row.elements} elements beyond the tolerance` : ''}`
}
