import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { modelToProto } from '../../graph/export.ts'
import { readModel, reloadModel } from '../../graph/import.ts'
import type { Model } from '../../graph/model.ts'
import { writeModel } from '../../graph/write.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { ParamOutput } from '../../params/spec.ts'
import { run as runClean } from '../clean/run.ts'
import type { PassContext, PassResult } from '../pass.ts'
import { type Attempt, type AttemptInput, attempt } from './attempt.ts'
import { wouldChange } from './forecast.ts'
import type { ortOptimize } from './index.ts'
import { AVOIDED } from './optimizers.ts'
import { findCulprits } from './search.ts'
import { sizeOf } from './size.ts'
import { skeletonBytes } from './skeleton.ts'
import { suspects } from './suspects.ts'
import { APPROXIMATION, FAST, makeTrial } from './trial.ts'

/** Why a result of the optimizer was not taken, in words. */
const FAULTS = {
  refused: 'gives a model that can not be loaded',
  larger: 'makes the model larger',
  wrong: 'gives other results',
  half: 'puts conversions around half-precision operators, which only this processor needs',
} as const

/** Clean-ups between two rounds give ONNX Runtime more to do; after some rounds that is little. */
const MOST_ROUNDS = 4

/** Lets ONNX Runtime optimize the model, and takes the result only if it computes the same and is no larger. */
export async function run(
  model: Model,
  options: Pick<ParamOutput<(typeof ortOptimize)['params']>, 'optimize'> &
    Partial<ParamOutput<(typeof ortOptimize)['params']>>,
  context: PassContext,
): Promise<PassResult> {
  const { optimize: level, disableOptimizers = [], geluApproximation = false } = options
  if (level !== 'basic' && level !== 'extended' && level !== 'all') return { changes: 0 }
  const disabled = new Set(disableOptimizers)
  let changes = 0
  let isChecked = true
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const result = await runOnce(model, { level, geluApproximation }, disabled, context)
    if (!result.changes) break
    changes += result.changes
    isChecked &&= result.isChecked
    for (const name of result.leftOut) disabled.add(name)
    if (!(await runClean(model, {}, context)).changes) break
  }
  if (!changes) return { changes }
  noteRuntimeOnly(model, context)
  return { changes, data: { checked: isChecked, leftOut: [...disabled] } }
}

interface Round {
  changes: number
  /** False if the results could not be compared. */
  isChecked: boolean
  /** Optimizers that were found to be harmful. */
  leftOut: string[]
}

const NOTHING: Round = { changes: 0, isChecked: true, leftOut: [] }

async function runOnce(
  model: Model,
  wanted: Pick<AttemptInput, 'level' | 'geluApproximation'>,
  disabled: ReadonlySet<string>,
  context: PassContext,
): Promise<Round> {
  const { ort, device, note } = context
  const { level } = wanted
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-ort-'))
  try {
    const suspected = suspects(model)
    const avoided = level === 'basic' ? [] : (AVOIDED[device] ?? AVOIDED['webnn']!)
    // Whether it changes anything depends on the processor, and sessions do it again where it helps.
    const known = new Set(['QDQS8ToU8Transformer', ...disabled, ...avoided, ...suspected.keys()])
    if (!(await wouldChange({ ...wanted, model, folder, ort }, known))) return NOTHING
    const baseline = await readBaseline(model, folder, context)
    if (!baseline) return NOTHING
    const file = join(folder, 'model.onnx')
    await writeModel(model, file, { location: 'model.onnx.data' })
    const trial = await makeTrial(model, file, ort, wanted.geluApproximation ? APPROXIMATION : undefined)
    const input = {
      baseline,
      model,
      file,
      folder,
      ...wanted,
      trial,
      ort,
      threads: context.threads,
      size: sizeOf(modelToProto(model)),
    }
    let last: Attempt = { fault: 'refused' }
    let first: Attempt | undefined
    const isGood = async (disabled: ReadonlySet<string>): Promise<boolean> => {
      context.signal?.throwIfAborted()
      last = await attempt(input, disabled)
      first ??= last
      return 'proto' in last
    }
    // Growth comes from folded constants nearly always.
    const culprits =
      (await isGood(known)) || isHopeless(last)
        ? known
        : (await isGood(new Set([...known, 'ConstantFolding'])))
          ? new Set([...known, 'ConstantFolding'])
          : await findCulprits(known, isGood)
    const fault = first && 'fault' in first ? first.fault : undefined
    const result = last as Attempt
    if (!culprits || !('proto' in result)) {
      const reason = FAULTS[fault ?? 'refused']
      note({ level: 'warn', code: 'ort-optimize/unused', message: `left as it is: ONNX Runtime's optimizer ${reason}` })
      return NOTHING
    }
    const leftOut = [...culprits].filter((name) => !known.has(name))
    for (const [name, reason] of suspected)
      if (!disabled.has(name))
        note({ level: 'info', code: 'ort-optimize/left-out', message: `${name} is left out: the model has ${reason}` })
    for (const name of leftOut)
      note({
        level: 'info',
        code: 'ort-optimize/left-out',
        message: `${name} is left out: it ${FAULTS[fault ?? 'wrong']}`,
      })
    const { changes, proto } = result
    if (changes) reloadModel(model, proto)
    return { changes, isChecked: !!trial, leftOut: [...leftOut, ...suspected.keys()] }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Inserted conversions come from the processor, not from one of the optimizers. */
function isHopeless(result: Attempt): boolean {
  return 'fault' in result && result.fault === 'half'
}

/** The model as ONNX Runtime writes it without optimizing, without weights; undefined, with a note, if it can't load the model. */
async function readBaseline(model: Model, folder: string, { ort, note }: PassContext): Promise<Model | undefined> {
  const file = join(folder, 'skeleton.onnx')
  const target = join(folder, 'baseline.onnx')
  try {
    writeFileSync(file, skeletonBytes(modelToProto(model)))
    await (await ort.open(file, { ...FAST, optimizedModelFilePath: target })).release()
    return readModel(target)
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error
    note({ level: 'warn', code: 'ort-optimize/not-loadable', message: `left as it is: ${error.what}` })
    return undefined
  }
}

/** ONNX Runtime writes some operators into the standard domain before the version that has them there. */
function noteRuntimeOnly(model: Model, { note }: PassContext): void {
  const since: Record<string, number> = {
    LayerNormalization: 17,
    Gelu: 20,
    SimplifiedLayerNormalization: Number.POSITIVE_INFINITY,
  }
  const found = new Set<string>()
  for (const { opType, domain } of model.allNodes())
    if (domain === '' && (since[opType] ?? 0) > model.opset) found.add(opType)
  for (const opType of found)
    note({
      level: 'info',
      code: 'ort-optimize/runtime-only',
      message: `${opType} is no standard operator at opset ${model.opset}: only ONNX Runtime can run the model`,
    })
}
