import { copyModel } from '../../../graph/copy.ts'
import type { Model } from '../../../graph/model.ts'
import type { Value } from '../../../graph/value.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { Session } from '../../../ort/session.ts'
import type { PassContext, PassResult } from '../../pass.ts'
import { isAlreadyQuantized } from '../already.ts'
import { balance } from '../balance/index.ts'
import { locate } from '../calibrate/data/files.ts'
import { inputsOf, openData } from '../calibrate/data/index.ts'
import { calibrate } from '../calibrate/index.ts'
import { openModel } from '../calibrate/observe.ts'
import type { Statistics } from '../calibrate/statistics.ts'
import { inlineQuantizable } from '../functions.ts'
import { wantsType } from '../select.ts'
import { foldBatchNorms } from '../static/batch-norm.ts'
import { smooth } from '../static/smooth.ts'
import { type Assignment, apply, Findings } from './apply.ts'
import { judgeByScore, loadEvaluate } from './evaluate.ts'
import { forFitting } from './halves.ts'
import { type AutoOptions, formulasOf } from './index.ts'
import { type Judge, judgeByOutputs } from './loss.ts'
import type { Formula } from './params.ts'
import { search } from './search.ts'
import { noiseOf } from './sensitivity.ts'
import { isUnitType, type Unit, uniform, unitsOf } from './units.ts'

/** One model that was tried. */
export interface TrialRecord {
  /** Units by formula; `float` for those that stay. */
  units: Record<string, number>
  /** 1 where ONNX Runtime refused the model. */
  loss: number
  /** Why ONNX Runtime refused it. */
  refused?: string
  passes: boolean
  /** Bytes of the model. */
  bytes: number
  ms: number
}

/** Part of the report, plain JSON. */
export interface AutoReport {
  maxLoss: number
  loss: number
  trials: TrialRecord[]
  /** The formula of every unit, or `float`, in order, with the noise that the formula adds by estimate, in dB below the result. */
  units: { node: string; op: string; formula: Formula | 'float'; sqnr: number | null }[]
}

/** Quantizes a model in place as far as the loss stays within bounds. See `autoQuantization`. */
export async function run(model: Model, options: AutoOptions, context: PassContext): Promise<PassResult> {
  const { note } = context
  if (isAlreadyQuantized(model, note)) return { changes: 0 }
  const formulas = formulasOf(options, context.device)
  const { inlined, aliases } = inlineQuantizable(
    model,
    (node) => isUnitType(node) && wantsType(node.opType, options),
    context,
  )
  if (!unitsOf(model, options, aliases).length) return { changes: inlined }
  // What changes no result is done once, before anything is tried.
  await context.ort.inferTypes(model)
  let prepared = inlined + foldBatchNorms(model)
  prepared += await balanced(model, formulas, options, context)
  const units = unitsOf(model, options, aliases)
  const trials = new Trials(model, units, options, context)
  try {
    await trials.open()
    const { assignment, noises } = await choose(units, formulas, options, trials, () =>
      statisticsOf(model, units, options, context),
    )
    const report: AutoReport = {
      maxLoss: options.maxLoss,
      loss: trials.lossOf(assignment),
      trials: trials.records,
      units: units.map((unit) => {
        const formula = assignment.get(unit.id)
        const noise = formula && noises?.get(formula)?.get(unit)
        return {
          node: unit.node.label,
          op: unit.node.opType,
          formula: formula ?? 'float',
          sqnr: noise ? Math.round(-100 * Math.log10(noise)) / 10 : null,
        }
      }),
    }
    const changes = await trials.apply(model, assignment)
    noteTrials(report, note)
    return { changes: changes + prepared, data: report }
  } finally {
    await trials.close()
  }
}

/** What is not smaller than this part of something good is not worth a search. */
const SMALLER = 0.98

/** Moves differences between channels into weights, as far as the options let it: on data if there is some. */
async function balanced(
  model: Model,
  formulas: readonly Formula[],
  options: AutoOptions,
  context: PassContext,
): Promise<number> {
  const products = [...model.graph.nodes()].filter(({ opType }) => ['MatMul', 'Gemm', 'Conv'].includes(opType))
  const smooths = options.smoothNorms ?? options.perChannel
  if (!options.calibration)
    return smooths && formulas.some((formula) => !formula.endsWith('bit')) ? smooth(products) : 0
  const smoothAlpha = options.smoothAlpha ?? (smooths ? ALPHA : undefined)
  const data = openData(model, { ...options, calibration: options.calibration })
  const fitted = options.evaluate ? data : forFitting(data)
  return balance(model, products, { smoothAlpha, equalize: options.equalize }, fitted, context)
}

/** Leaves activations and weights with the same differences between channels. */
const ALPHA = 0.5

interface Choice {
  assignment: Assignment
  noises: Map<Formula, Map<Unit, number>> | undefined
}

/**
 * Tries the formulas on all units, the preferred first, until one is good enough. If another was preferred, units that it serves badly
 * get the one that is good enough, or stay float.
 */
async function choose(
  units: readonly Unit[],
  formulas: readonly Formula[],
  { maxLoss, blockSize }: AutoOptions,
  trials: Trials,
  statistics: () => Promise<ReadonlyMap<Value, Statistics>>,
): Promise<Choice> {
  const all = (formula: Formula): Map<string, Formula> => uniform(units, formula, formulas)
  const failed: { formula: Formula; loss: number }[] = []
  let good: Formula | undefined
  for (const formula of formulas) {
    if (trials.left() <= 0) break
    const { loss, passes } = await trials.try(all(formula))
    if (passes) {
      good = formula
      break
    }
    failed.push({ formula, loss })
  }
  if (good && !failed.length) return { assignment: all(good), noises: undefined }
  const seen = await statistics()
  const noises = new Map<Formula, Map<Unit, number>>()
  const noiseIn = (formula: Formula): Map<Unit, number> =>
    new Map(units.map((unit) => [unit, noiseOf(unit, formula, blockSize, seen)]))
  if (good) noises.set(good, noiseIn(good))
  // With something good to fall back on the preferred comes first, else what is nearest to the bar: it needs the fewest exceptions.
  const bases = good ? failed : failed.toSorted((a, b) => a.loss - b.loss)
  for (const { formula: base } of bases) {
    if (good && trials.bytesOf(all(base)) > SMALLER * trials.bytesOf(all(good))) continue
    const noise = noiseIn(base)
    noises.set(base, noise)
    const ranked = units.toSorted((a, b) => noise.get(b)! - noise.get(a)!)
    const mix = (better: ReadonlySet<number>): Map<string, Formula> => {
      const result = all(base)
      for (const unit of better) {
        const { id } = ranked[unit]!
        const own = good && all(good).get(id)
        if (own) result.set(id, own)
        else result.delete(id)
      }
      return result
    }
    const found = await search({
      count: units.length,
      passes: async (better) => (await trials.try(mix(better))).passes,
      left: () => trials.left(),
    })
    const assignment = found && mix(found)
    if (assignment && !(good && trials.bytesOf(assignment) >= trials.bytesOf(all(good)))) return { assignment, noises }
  }
  if (good) return { assignment: all(good), noises }
  throw tooMuchLost(trials.records, maxLoss)
}

function tooMuchLost(records: readonly TrialRecord[], maxLoss: number): OnnxError {
  const best = records.toSorted((a, b) => a.loss - b.loss)[0]
  return new OnnxError(
    'MAX_LOSS',
    `no quantized model loses ${percent(maxLoss)} or less: ${best ? `the best of ${records.length} trials loses ${percent(best.loss)} (${describe(best)})` : 'none could be tried'}`,
    { hint: 'Allow more loss with maxLoss, more trials, or other formulas; or leave nodes out with excludeNodes.' },
  )
}

/** Mean squares and ranges of what the units read, from one run over the data; empty where there is none. */
async function statisticsOf(
  model: Model,
  units: readonly Unit[],
  options: AutoOptions,
  { threads, signal }: PassContext,
): Promise<ReadonlyMap<Value, Statistics>> {
  if (!options.calibration) return new Map()
  const values = new Set<Value>()
  for (const { node } of units) {
    const input = node.input(0)
    if (input?.isFloat && !input.constant && input.graph === model.graph) values.add(input)
  }
  const data = openData(model, { ...options, calibration: options.calibration })
  const settings = {
    method: 'minmax',
    bins: 16,
    quantizedBins: 16,
    percentile: 100,
    symmetric: false,
    movingAverage: false,
    levels: 255,
    masks: true,
    threads,
    signal,
  } as const
  return (await calibrate(model, [...values], data, settings)).statistics
}

/** Models that are tried: each is a copy of the prepared model, and what is found out on the way serves all. */
class Trials {
  readonly records: TrialRecord[] = []
  readonly #model: Model
  readonly #options: AutoOptions
  readonly #context: PassContext
  readonly #ids: ReadonlySet<string>
  readonly #findings = new Findings()
  readonly #tried = new Map<string, TrialRecord>()
  #judge: Judge | undefined

  constructor(model: Model, units: readonly Unit[], options: AutoOptions, context: PassContext) {
    this.#model = model
    this.#options = options
    this.#context = context
    this.#ids = new Set(units.map(({ id }) => id))
  }

  /** Runs the float model, that others are measured by. */
  async open(): Promise<void> {
    const { metric = 'cosine', evaluate, calibration } = this.#options
    const model = this.#model
    await this.#withSession(model, async (session) => {
      if (evaluate) {
        const file = locate(evaluate, this.#context.file, 'evaluate')
        this.#judge = await judgeByScore(session, await loadEvaluate(file), inputsOf(model), file)
      } else {
        const data = openData(model, { ...this.#options, calibration: calibration! })
        this.#judge = await judgeByOutputs(session, data, metric)
      }
    })
  }

  left(): number {
    return this.#options.trials - this.records.length
  }

  /** What a model loses whose units get these formulas. What was tried before is not tried again. */
  async try(assignment: Assignment): Promise<TrialRecord> {
    const known = this.#tried.get(keyOf(assignment))
    if (known) return known
    this.#context.signal?.throwIfAborted()
    const start = performance.now()
    const { model } = copyModel(this.#model)
    await this.apply(model, assignment)
    let loss = 1
    let refused: string | undefined
    let bytes = 0
    for (const { initializers } of model.allGraphs())
      for (const { tensor } of initializers) bytes += tensor?.byteLength ?? 0
    try {
      await this.#withSession(model, async (session) => {
        loss = await this.#judge!.loss(session)
      })
    } catch (error) {
      if (!(error instanceof OnnxError) || !error.code.startsWith('ORT_')) throw error
      refused = error.message
    }
    const units: Record<string, number> = {}
    for (const formula of assignment.values()) units[formula] = (units[formula] ?? 0) + 1
    const float = this.#ids.size - assignment.size
    if (float) units['float'] = float
    const ms = Math.round(performance.now() - start)
    const passes = refused === undefined && loss <= this.#options.maxLoss
    const record: TrialRecord = { units, loss, ...(refused === undefined ? {} : { refused }), passes, bytes, ms }
    this.records.push(record)
    this.#tried.set(keyOf(assignment), record)
    this.#context.progress(this.records.length / this.#options.trials)
    return record
  }

  lossOf(assignment: Assignment): number {
    return this.#tried.get(keyOf(assignment))!.loss
  }

  bytesOf(assignment: Assignment): number {
    return this.#tried.get(keyOf(assignment))!.bytes
  }

  apply(model: Model, assignment: Assignment): Promise<number> {
    const quiet: PassContext = {
      ...this.#context,
      progress: () => {},
      ...(model === this.#model ? {} : { note: () => {} }),
    }
    return apply(model, assignment, (id) => this.#ids.has(id), this.#options, this.#findings, quiet)
  }

  async close(): Promise<void> {
    this.#judge = undefined
  }

  async #withSession(model: Model, use: (session: Session) => Promise<void>): Promise<void> {
    const { session, dispose } = await openModel(model, { threads: this.#context.threads, level: 'all' })
    try {
      await use(session)
    } finally {
      await session.release()
      dispose()
    }
  }
}

function keyOf(assignment: Assignment): string {
  return JSON.stringify([...assignment].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function noteTrials({ trials, units, maxLoss, loss }: AutoReport, note: PassContext['note']): void {
  const float = units.filter(({ formula }) => formula === 'float').length
  note({
    level: 'info',
    code: 'auto/loss',
    message: `loses ${percent(loss)} of at most ${percent(maxLoss)} after ${trials.length} trials; ${float} of ${units.length} weights stay float`,
  })
  trials.forEach((trial, i) => {
    const bytes = `${(trial.bytes / 1e6).toFixed(trial.bytes < 1e6 ? 3 : 1)} MB`
    note({
      level: 'info',
      code: 'auto/trial',
      message: `trial ${i + 1}: ${percent(trial.loss).padStart(8)} ${trial.passes ? 'good' : 'lost'} ${bytes.padStart(9)}  ${describe(trial)}`,
    })
  })
}

function describe({ units }: TrialRecord): string {
  return Object.entries(units)
    .map(([formula, count]) => `${count} ${formula}`)
    .join(', ')
}

function percent(part: number): string {
  return `${Number((100 * part).toPrecision(3))} %`
}
