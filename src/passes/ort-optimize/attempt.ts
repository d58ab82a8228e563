import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { readModel, readModelBytes } from '../../graph/import.ts'
import type { Model } from '../../graph/model.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { ModelProto } from '../../onnx/proto.ts'
import type { OrtService } from '../../ort/service.ts'
import type { Session } from '../../ort/session.ts'
import { adopt } from './adopt.ts'
import { differences } from './differences.ts'
import { sizeOf } from './size.ts'
import { skeletonBytes } from './skeleton.ts'
import { FAST, passes, type Trial } from './trial.ts'

/** What one run of the optimizer gave: a model (nothing, if that is the same), or why it can't be used. */
export type Attempt = { proto: ModelProto; changes: number } | { fault: 'refused' | 'larger' | 'wrong' | 'half' }

export interface AttemptInput {
  model: Model
  /** The model as ONNX Runtime writes it without optimizing: with all defaults, and Constant nodes as initializers. */
  baseline: Model
  /** The model as a file, in a folder of its own where the result may lie too. */
  file: string
  folder: string
  level: 'basic' | 'extended' | 'all'
  geluApproximation: boolean
  trial: Trial | undefined
  ort: OrtService
  threads: number
  /** Bytes of the model as it is. */
  size: number
}

/** Runs ONNX Runtime's optimizer without the optimizers named in `disabled`, and checks what comes out. */
export async function attempt(input: AttemptInput, disabled: ReadonlySet<string>): Promise<Attempt> {
  const { model, baseline, file, folder, level, trial, ort, threads } = input
  const target = join(folder, 'optimized.onnx')
  for (const path of [target, join(folder, DATA_FILE)]) rmSync(path, { force: true })
  let session: Session | undefined
  try {
    session = await ort.open(file, {
      graphOptimizationLevel: level,
      optimizedModelFilePath: target,
      intraOpNumThreads: threads,
      extra: {
        session: {
          disable_prepacking: '1',
          ...(needsDataFile(model) ? { optimized_model_external_initializers_file_name: DATA_FILE } : {}),
        },
        optimization: optimizationKeys(input, disabled),
      },
    })
    const optimized = readModel(target)
    const changes = differences(baseline, optimized)
    if (!changes) return { proto: {}, changes }
    if (halfCasts(optimized) > halfCasts(model)) return { fault: 'half' }
    const proto = adopt(model, baseline, optimized)
    if (sizeOf(proto) > input.size) return { fault: 'larger' }
    if (trial && !(await passes(trial, session))) return { fault: 'wrong' }
    return (await canLoad(proto, target, ort)) ? { proto, changes } : { fault: 'refused' }
  } catch (error) {
    if (error instanceof OnnxError) return { fault: 'refused' }
    throw error
  } finally {
    await session?.release()
  }
}

/** Configuration of ONNX Runtime's optimizer. */
export function optimizationKeys(
  { geluApproximation }: Pick<AttemptInput, 'geluApproximation'>,
  disabled: ReadonlySet<string>,
): Record<string, string> {
  return {
    disable_specified_optimizers: [...disabled].join(';'),
    ...(geluApproximation ? { enable_gelu_approximation: '1' } : {}),
  }
}

/** Some operators want their weights as constants: what does not load without weights may load with them. */
async function canLoad(proto: ModelProto, file: string, ort: OrtService): Promise<boolean> {
  for (const model of [readModelBytes(skeletonBytes(proto)), file])
    try {
      await (await ort.open(model, FAST)).release()
      return true
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error
    }
  return false
}

const DATA_FILE = 'optimized.onnx.data'

/**
 * True if the model is too large for one file. Smaller ones are written without a data file: with one, ONNX Runtime 1.30 writes
 * initializers of subgraphs twice.
 */
function needsDataFile(model: Model): boolean {
  let bytes = 0
  for (const { tensor } of model.graph.initializers) bytes += tensor?.byteLength ?? 0
  return bytes > 2 ** 30
}

/** Casts from and to half precision: ONNX Runtime puts them in where the CPU has no kernel for it. */
function halfCasts(model: Model): number {
  let count = 0
  for (const node of model.allNodes())
    if (node.opType === 'Cast' && (node.int('to') === 10 || node.input(0)?.dtype === 'float16')) count++
  return count
}
