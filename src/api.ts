import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect as inspectValue } from 'node:util'
import type { ErrorOptions, ErrorReport } from './measure/error/index.ts'
import { OnnxError } from './onnx/errors.ts'
import {
  cacheSettings,
  fullTable,
  type ModelOptions,
  type PluginOptions,
  resolveRequest,
  SETTINGS,
} from './options/index.ts'
import { OPTIONS } from './params/read.ts'
import {
  type BuildProgress,
  type BuildReport,
  copyCompanions,
  createPipeline,
  deliver,
  filesOf,
  huggingFacePath,
  leftNote,
  type ModelInfo,
} from './pipeline/index.ts'
import { type Inspection, inspectModel } from './report/inspect.ts'

export type { ActivationError, ErrorOptions, ErrorReport, LayerError, WeightError } from './measure/error/index.ts'
export { OnnxError } from './onnx/errors.ts'
export { type NpyArray, readNumpyFile } from './onnx/npz.ts'
export type { ModelOptions, PluginOptions, TargetOptions } from './options/index.ts'
export type { BuildProgress, BuildReport, IoInfo, ModelInfo } from './pipeline/index.ts'
export type { Inspection, TensorSummary } from './report/inspect.ts'

/** Options of one model: every parameter that an import's query takes (but for the shape of the import), and where the result goes. */
export type TransformOptions = Omit<ModelOptions, 'as' | 'targets'> & {
  /** Path of the resulting .onnx file; its data files go beside it. Without it the result stays in the cache. */
  output?: string | undefined
  /**
   * With `huggingface` `output` is the folder of a repository in the layout of Hugging Face: the model goes to
   * `onnx/model_q4f16.onnx` (after its own name and `dtype`), configuration and tokenizer beside the source go along.
   */
  emit?: 'files' | 'huggingface' | undefined
  /** Calls the build off. */
  signal?: AbortSignal | undefined
}

/** What became of one model. */
export interface Transformed {
  /** Absolute path of the result. */
  file: string
  /** Absolute paths of its data files. */
  external: string[]
  /**
   * Adapters that fit it, with the SHA-256 of their files, and where in these the weights are, in the order of `info.adapterInputs`.
   * `location` is there for `adapters: 'external'`: the path under which ONNX Runtime has to be given the data of any but the first.
   */
  adapters: {
    name: string
    file: string
    bytes: number
    hash: string
    location?: string
    tensors: { offset: number; dims: number[] }[]
  }[]
  /** Absolute path of the tokenizer, for a model that takes text. */
  tokenizer?: string
  /** Inputs, outputs, operators of the result. */
  info: ModelInfo
  /** Sizes, time, passes and what they changed. */
  report: BuildReport
}

/** Options of an optimizer: those of the plugin, with a listener. */
export type OptimizerOptions = PluginOptions & {
  onProgress?: ((progress: BuildProgress) => void) | undefined
}

/** Transforms any number of models with one pool of workers. */
export interface Optimizer {
  /**
   * Optimizes one model. The options come on top of the optimizer's own, as a query comes on top of the plugin's.
   *
   * @param file path of the model, relative to the optimizer's root, or its `file:` URL
   * @throws OnnxError for wrong options or a model that cannot be read
   */
  transform(file: string | URL, options?: TransformOptions): Promise<Transformed>
  /** Ends the workers. */
  close(): Promise<void>
}

/**
 * Makes an optimizer. `root` is the working directory unless given; targets default to Node.
 *
 * @throws OnnxError for wrong options
 */
export function createOptimizer({ onProgress, ...plugin }: OptimizerOptions = {}): Optimizer {
  const root = resolve(plugin.root ?? '.')
  const pipeline = createPipeline({ root, cache: cacheSettings(plugin), onProgress })
  return {
    async transform(path, options) {
      const file = resolve(root, pathOf(path))
      const { output, emit, signal, ...query } = checked(options, file)
      const { targets } = resolveRequest({
        plugin,
        query,
        surface: OPTIONS,
        file,
        root,
        environment: { kind: 'server' },
      })
      if (targets[0]!.frozen)
        throw new OnnxError('OPTION_CONFLICT', '`dim` gives several sizes, and one file has one', {
          place: { file },
          hint: 'Transform the model once for each size.',
        })
      const artifact = await pipeline.build({ file, options: targets[0]!, ...(signal ? { signal } : {}) })
      const onLeft = (left: string): void => void artifact.report.notes.push(leftNote(left))
      const files =
        output === undefined
          ? filesOf(artifact).map((part) => part.file)
          : emit === 'huggingface'
            ? await deliver(artifact, join(resolve(root, output), huggingFacePath(basename(file), targets[0]!)), {
                ownData: true,
                onLeft,
              })
            : await deliver(artifact, resolve(root, output), { onLeft })
      if (output !== undefined && emit === 'huggingface') await copyCompanions(file, resolve(root, output))
      const { info, report, external } = artifact
      const adapterFiles = files.slice(1 + external.length)
      const adapters = artifact.adapters.map(({ adapter: name, bytes, hash, tensors, location }, i) => {
        const found = { name, file: adapterFiles[i]!, bytes, hash, tensors }
        // Delivered under another name it is what the model refers to now.
        return location === undefined ? found : { ...found, location: basename(adapterFiles[0]!) }
      })
      return {
        file: files[0]!,
        external: files.slice(1, 1 + external.length),
        adapters,
        ...(artifact.tokenizer ? { tokenizer: files.at(-1)! } : {}),
        info,
        report: output === undefined ? report : { ...report, output: files[0]! },
      }
    },
    close: () => pipeline.close(),
  }
}

/**
 * Optimizes one model, e.g. `await transform('bert.onnx', { quantize: 'dynamic', output: 'dist/bert.onnx' })`. For many
 * models {@link createOptimizer} is faster: it keeps its workers.
 *
 * @throws OnnxError for wrong options or a model that cannot be read
 */
export async function transform(file: string | URL, options: TransformOptions = {}): Promise<Transformed> {
  const optimizer = createOptimizer()
  try {
    return await optimizer.transform(file, options)
  } finally {
    await optimizer.close()
  }
}

/**
 * What is in a model: inputs, outputs, operators, sizes. Weights are not read.
 *
 * @throws OnnxError if it is no valid model
 */
export async function inspect(file: string | URL, options: { top?: number } = {}): Promise<Inspection> {
  return inspectModel(resolve(pathOf(file)), options)
}

/**
 * Compares a quantized model with the float model that it was made from: signal to noise ratio of every activation and weight that both
 * have, and layers by the noise they add.
 *
 * @param options inputs to run both with (`files`, made-up ones by default), how many (`samples`)
 * @throws OnnxError if a model does not run, or they share no value
 */
export async function inspectError(
  quantized: string,
  reference: string,
  { files = [], ...options }: ErrorOptions = {},
): Promise<ErrorReport> {
  const { quantizationError } = await import('./measure/error/index.ts')
  const paths = files.map((file) => resolve(file))
  return quantizationError(resolve(reference), resolve(quantized), { ...options, files: paths })
}

function pathOf(file: unknown): string {
  if (typeof file === 'string' && file) return file
  if (file instanceof URL && file.protocol === 'file:') return fileURLToPath(file)
  throw new OnnxError(
    'OPTION_VALUE',
    `a model is the path of a file or its file: URL, not ${inspectValue(file, { depth: 0 })}`,
  )
}

/** Options of one model, after a check for those that only an optimizer has. */
function checked(options: unknown = {}, file: string): TransformOptions {
  const place = { file }
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new OnnxError('OPTION_VALUE', `options are an object, not ${inspectValue(options, { depth: 0 })}`, { place })
  for (const [key, value] of Object.entries(options)) {
    const isSetting = SETTINGS.includes(key) && !Object.hasOwn(fullTable, key)
    if (!isSetting && !(key === 'targets' && !Array.isArray(value) && typeof value === 'object')) continue
    throw new OnnxError('OPTION_UNKNOWN', `\`${key}\` is no option of a single model`, {
      place,
      hint: `Give it to the optimizer: createOptimizer({ ${key}: ... }).transform(file, options).`,
    })
  }
  return options
}
