import type { AdapterSet } from './adapters.ts'
import { totalBytes } from './download.ts'
import { codec } from './elements.ts'
import { OnnxSessionError, reasonOf, unknown } from './error.ts'
import type { HalfCodec } from './float16.ts'
import type { MediaReader } from './media.ts'
import { isKept, type OpenSession, type SessionView, wrapSession } from './session.ts'
import type { Model, ModelInfo, ModelOptions, Session, SessionOptions, TargetChoice } from './types.ts'

/** One build of a model, as the emitted module describes it. */
export interface VariantDefinition {
  target: string
  device: string
  info: ModelInfo
  /** Size of the model file. */
  bytes: number
  url: string | URL
  /** Imports ONNX Runtime. */
  ort: () => Promise<unknown>
  /** External data; `path` is the location that the model has for it. */
  external?: readonly { path: string; bytes: number; url: string | URL }[]
  /** What not every WebGPU adapter has and it can't run without: a limit and how large it must be, or a feature and 1. */
  requires?: { readonly [limitOrFeature: string]: number }
  /** URLs of the parts of ONNX Runtime for the web. */
  wasm?: { mjs?: string | URL; wasm?: string | URL }
  sessionOptions?: SessionOptions
  /** Makes sessions with adapters. */
  adapters?: AdapterSet
  /** For float16 inputs and outputs. */
  half?: HalfCodec
  /** Reads images and sound, where an input takes them. */
  media?: MediaReader
  /** Makes a session of several sizes of the model, of which `url` is the smallest; `info` names the dims that differ. */
  frozen?(variant: VariantDefinition, open: (part: VariantDefinition) => Promise<Session>): Promise<Session>
}

/** A model's files: bytes, or in Node a path, beside which ONNX Runtime finds the external data. */
export interface ModelFiles {
  model: Uint8Array | string
  external?: { path: string; data: Uint8Array }[]
}

/** Opens a variant. `add` sees its files before the runtime does. */
export type Opener = (
  part: VariantDefinition,
  add?: (files: Promise<ModelFiles>) => Promise<ModelFiles>,
) => Promise<SessionView>

/** What differs between browser and Node. */
export interface Platform {
  /** The device that is always there. */
  base: string
  /** Why a variant can't run here, or undefined if it may. Cheap: loads no model. */
  obstacle(variant: VariantDefinition): Promise<string | undefined>
  load(variant: VariantDefinition, options: ModelOptions): Promise<ModelFiles>
  open(
    variant: VariantDefinition,
    device: string,
    files: Promise<ModelFiles>,
    options: ModelOptions,
  ): Promise<OpenSession>
}

/** Makes the callable that an import of a model gives. Does nothing until it is called. */
export function createModel(platform: Platform, variants: readonly VariantDefinition[]): Model {
  Object.assign(codec, ...variants.map(({ half }) => half))
  const described = variants.map((variant) => {
    const { target, device, info, url } = variant
    return { target, device, info, url: String(url), bytes: totalBytes(variant) }
  })
  const [{ url, info }] = described as [(typeof described)[0]]
  const adapters = variants[0]!.adapters?.names ?? []
  const { inputs, outputs } = info
  const model = (options: ModelOptions = {}): Promise<Session> => start(platform, variants, options)
  return Object.assign(model, { url, info, inputs, outputs, adapters, variants: described })
}

/** Takes the first variant that this machine can run, downloading no other. */
async function start(
  platform: Platform,
  variants: readonly VariantDefinition[],
  options: ModelOptions,
): Promise<Session> {
  const wanted = variants.filter(({ target }) => target === (options.target ?? target))
  if (!wanted.length)
    throw unknown(
      'target',
      options.target,
      variants.map(({ target }) => target),
    )
  const attempts = wanted.map((variant) => ({ variant, device: variant.device }))
  // Every build of ONNX Runtime also has the base device: slower, but the model runs.
  if ((options.fallback ?? options.target === undefined) && !wanted.some(({ device }) => device === platform.base))
    attempts.push({ variant: wanted.at(-1)!, device: platform.base })

  const files = new Map<string | URL, Promise<ModelFiles>>()
  const skipped: TargetChoice['skipped'] = []
  let failure: unknown
  for (const { variant, device } of attempts) {
    const { target } = variant
    try {
      const obstacle = device !== platform.base && (await platform.obstacle(variant))
      if (obstacle) throw new Error(obstacle)
      const choice = { target, device, skipped }
      const openView: Opener = async (part, add = (files) => files) => {
        const { url, info, media } = part
        const loading = files.get(url) ?? platform.load(part, options)
        files.set(url, loading)
        const opened = await platform.open(part, device, add(loading), options)
        files.delete(url)
        return wrapSession({ ...opened, keep: options.keep }, info, choice, media)
      }
      const open = async (part: VariantDefinition): Promise<Session> =>
        part.adapters
          ? part.adapters.open(part, openView, options.adapter)
          : (await openView(part))().withAdapter(options.adapter)
      const session = await (variant.frozen ?? open)(variant, open)
      options.onTarget?.(choice)
      return session
    } catch (error) {
      options.signal?.throwIfAborted()
      // No other target would do.
      const { code } = error as OnnxSessionError
      if (code === 'ADAPTER_UNKNOWN' || (attempts.length === 1 && code === 'DOWNLOAD_FAILED')) throw error
      failure = error
      skipped.push({ target, device, reason: reasonOf(error) })
    }
  }
  const reasons = skipped.map(({ target, device, reason }) => `\n  ${target} (${device}): ${reason}`)
  throw new OnnxSessionError('SESSION_FAILED', `the model can't be run here${reasons.join('')}`, failure)
}

/** Session options for a device: the target's, then what is derived, then the caller's. */
export function sessionOptions(
  variant: VariantDefinition,
  device: string,
  options: ModelOptions,
  derived: SessionOptions,
): SessionOptions {
  const { executionProviders, ...declared } = variant.sessionOptions ?? {}
  const own = device === variant.device ? executionProviders : undefined
  return {
    executionProviders: own ?? [device],
    ...declared,
    ...derived,
    ...(device === 'webgpu' && options.keep && { preferredOutputLocation: kept(variant.info, options.keep) }),
    ...options.session,
  }
}

/** Where each output goes, for names that may end with `*`. */
function kept({ outputs }: ModelInfo, names: readonly string[] | true): { [output: string]: 'gpu-buffer' } {
  const chosen = outputs.filter(({ name }) => names === true || isKept(name, names))
  return Object.fromEntries(chosen.map(({ name }) => [name, 'gpu-buffer']))
}
