import { ortEntry, runtimeOf } from '../codegen/entries.ts'
import { type EmittedAdapter, type EmittedFile, generateModule, type VariantInput } from '../codegen/module.ts'
import { OnnxError } from '../onnx/errors.ts'
import type { As } from '../options/index.ts'
import type { Artifact, ModelInfo } from '../pipeline/index.ts'
import { readSessionPreset } from '../pipeline/session-preset.ts'
import type { Emitter, Hook } from './emit/emitter.ts'
import type { BuiltImport } from './models.ts'
import { findWebRuntime } from './onnxruntime-web.ts'

/** How modules are made for one bundler. */
export interface ModuleSetting {
  emitter: Emitter
  /** Whether ONNX Runtime's wasm has to be emitted by us, because the bundler does not see it. */
  emitsWasm: boolean
  /** Where to look for `onnxruntime-web`. */
  root: string
}

/**
 * Emits what an import needs and writes its module.
 *
 * @throws OnnxError for targets that have no common place to run
 */
export async function moduleOf(hook: Hook, { as, variants }: BuiltImport, setting: ModuleSetting): Promise<string> {
  const runtimes = new Set(variants.map(({ options }) => runtimeOf(options.device)))
  if (runtimes.size > 1)
    throw new OnnxError('TARGETS_MIXED', '`targets` has both targets for browsers and for Node', {
      hint: 'This bundler does not say which of them the output is for: name targets of one kind, by `target` of the plugin or ONNX_TARGET.',
    })
  const [runtime] = runtimes
  if (as === 'path' && runtime === 'web')
    throw new OnnxError('AS_PATH_IN_BROWSER', '`as=path` has no meaning in a browser', {
      hint: 'Use `as=url`, or import it from server code.',
    })
  const setup: string[] = []
  const used = as === 'session' ? variants : variants.slice(0, 1)
  const inputs: VariantInput[] = []
  for (const [index, { options, artifact }] of used.entries()) {
    const { device, target = device, sessionPreset, session, frozen } = options
    const variant = { target, device, info: artifact.info, bytes: artifact.model.bytes, ...(frozen ? { frozen } : {}) }
    if (as === 'info') {
      inputs.push({ ...variant, urlExpression: '""', external: [] })
      continue
    }
    const [url, ...external] = await emitModel(hook, artifact, { as, emitter: setting.emitter, index, setup })
    const wasm =
      as === 'session' && runtime === 'web' && setting.emitsWasm
        ? await emitWasm(hook, ortEntry(device, 'web'), setting, index, setup)
        : undefined
    // What the target says wins over what was measured.
    const sessionOptions =
      as === 'session'
        ? { ...(await readSessionPreset(artifact.report.input, { target, device, sessionPreset })), ...session }
        : undefined
    const adapters = as === 'session' ? await emitAdapters(hook, artifact, setting.emitter, index, setup) : []
    const tokenizer = as === 'session' ? await emitTokenizer(hook, artifact, setting.emitter, index, setup) : undefined
    inputs.push({
      ...variant,
      urlExpression: url!.urlExpression,
      external,
      ...(device === 'webgpu' ? { requires: requirements(artifact.info) } : {}),
      ...(adapters.length ? { adapters } : {}),
      ...(tokenizer ? { tokenizer } : {}),
      ...(wasm ? { wasm } : {}),
      ...(sessionOptions ? { sessionOptions } : {}),
    })
  }
  const code = generateModule({ as, variants: inputs, runtime: runtime! })
  return [...new Set(setup), code].join('\n')
}

/** What a WebGPU adapter must have for a model. */
function requirements({ float16, webgpuLimits }: ModelInfo): Record<string, number> {
  return { ...(float16 ? { 'shader-f16': 1 } : {}), ...webgpuLimits }
}

async function emitModel(
  hook: Hook,
  { model, external, adapters }: Artifact,
  { as, emitter, index, setup }: { as: As; emitter: Emitter; index: number; setup: string[] },
): Promise<EmittedFile[]> {
  // Without the wrapper nobody gives ONNX Runtime the data of an adapter: it finds that of the first beside the model.
  const beside = as === 'session' ? [] : adapters.slice(0, 1).filter(({ location }) => location !== undefined)
  const files = [model, ...external, ...beside]
  const local = (i: number) => `__onnx_${index}_${i}`
  const urls = await emitter.emit(hook, files, { together: files.length > 1, local })
  setup.push(...urls.flatMap((one) => one.setup || []))
  return files.map(({ name, bytes }, i) => ({ name, bytes, urlExpression: urls[i]!.url }))
}

/** Adapters are assets of their own: none is loaded before it is asked for. */
async function emitAdapters(
  hook: Hook,
  { adapters }: Artifact,
  emitter: Emitter,
  index: number,
  setup: string[],
): Promise<EmittedAdapter[]> {
  if (!adapters.length) return []
  const local = (i: number) => `__onnx_${index}_adapter_${i}`
  const urls = await emitter.emit(hook, adapters, { together: false, local })
  setup.push(...urls.flatMap((one) => one.setup || []))
  return adapters.map(({ adapter, location, bytes, tensors }, i) => ({
    name: adapter,
    ...(location === undefined ? {} : { location }),
    bytes,
    tensors,
    urlExpression: urls[i]!.url,
  }))
}

/** The tokenizer of a model that takes text: loaded with the first one. */
async function emitTokenizer(
  hook: Hook,
  { tokenizer }: Artifact,
  emitter: Emitter,
  index: number,
  setup: string[],
): Promise<EmittedFile | undefined> {
  if (!tokenizer) return undefined
  const [url] = await emitter.emit(hook, [tokenizer], { together: false, local: () => `__onnx_${index}_tokenizer` })
  setup.push(...(url!.setup ? [url!.setup] : []))
  return { name: tokenizer.name, bytes: tokenizer.bytes, urlExpression: url!.url }
}

async function emitWasm(hook: Hook, entry: string, { emitter, root }: ModuleSetting, index: number, setup: string[]) {
  const { mjs, wasm } = findWebRuntime(entry, root)
  const local = (i: number) => `__onnx_${index}_wasm_${i}`
  const urls = await emitter.emit(hook, [mjs, wasm], { together: false, local })
  setup.push(...urls.flatMap((one) => one.setup || []))
  return { mjs: urls[0]!.url, wasm: urls[1]!.url }
}
