import { type AdapterDefinition, type AdapterFile, type AdapterSet, adapterSet } from './adapters.ts'
import { download, downloadFiles } from './download.ts'
import { externalAdapterSet } from './external-adapters.ts'
import { createModel, type Platform, sessionOptions, type VariantDefinition } from './model.ts'
import { loadOrt, type Ort } from './ort.ts'
import { type Queue, serialQueue } from './queue.ts'
import type { IoInfo, Model, ModelOptions } from './types.ts'

interface Adapter {
  features: ReadonlySet<string>
  limits: { readonly [limit: string]: number }
}

/** What the wrapper reads of a window or worker. */
interface Scope {
  document?: { baseURI: string }
  location?: { href: string }
  crossOriginIsolated?: boolean
  navigator?: {
    gpu?: { requestAdapter(): Promise<Adapter | null> }
    ml?: { createContext(options: unknown): Promise<{ destroy?(): void }> }
  }
}
const scope = globalThis as Scope

/** One line per copy of ONNX Runtime: its WebAssembly instance takes one call at a time, whichever session it is for. */
const queues = new WeakMap<Ort, Queue>()

const web: Platform = {
  base: 'wasm',
  async obstacle({ device, requires = {}, sessionOptions }) {
    const { gpu, ml } = scope.navigator ?? {}
    if (ml && device === 'webnn') {
      // Throws where there is no device of the kind that the provider's options ask for.
      const context = await ml.createContext(sessionOptions?.executionProviders?.[0])
      context.destroy?.()
      return undefined
    }
    if (!gpu || device === 'webnn') return `no ${device} in this browser`
    const adapter = await gpu.requestAdapter()
    if (!adapter) return 'no WebGPU adapter'
    for (const [name, least] of Object.entries(requires)) {
      const has = adapter.limits[name] ?? Number(adapter.features.has(name))
      if (has < least) return `the WebGPU adapter has no ${name}${has ? ` of ${least}, only ${has}` : ''}`
    }
    return undefined
  },
  load: (variant, options) => downloadFiles(variant, absolute, options),
  async open(variant, device, files, options) {
    const [ort, { model, external = [] }] = await Promise.all([loadOrt(variant.ort), files])
    configure(ort, variant, options)
    const queue = queues.get(ort) ?? serialQueue()
    queues.set(ort, queue)
    const derived = external.length ? { externalData: external } : {}
    const raw = await queue(() =>
      ort.InferenceSession.create(model as never, sessionOptions(variant, device, options, derived)),
    )
    return { ort, raw, queue }
  },
}

/** Says where the parts of ONNX Runtime are, unless the page has said so itself. Takes effect before its first session. */
function configure({ env: { wasm } }: Ort, variant: VariantDefinition, options: ModelOptions): void {
  const threads = options.threads ?? variant.sessionOptions?.intraOpNumThreads
  if (variant.wasm)
    wasm.wasmPaths ??= Object.fromEntries(Object.entries(variant.wasm).map(([part, url]) => [part, absolute(url)]))
  // Threads need shared memory, which only an isolated page has.
  if (!scope.crossOriginIsolated) wasm.numThreads = 1
  else if (threads) wasm.numThreads = threads
}

function absolute(url: string | URL): string {
  return new URL(url, scope.document?.baseURI ?? scope.location?.href).href
}

/** What an emitted module calls for the adapters of a model. */
export function adapters(inputs: readonly IoInfo[], list: readonly AdapterDefinition[]): AdapterSet {
  return adapterSet(loadBytes, inputs, list)
}

/** What an emitted module calls for adapters that are external data of a model, to which it refers as `path`. */
export function externalAdapters(path: string, list: readonly AdapterFile[]): AdapterSet {
  return externalAdapterSet(loadBytes, path, list)
}

/** What an emitted module calls: the model's builds, in order of preference. */
export function defineModel(variants: readonly VariantDefinition[]): Model {
  return createModel(web, variants)
}

/** The bytes of an emitted file. */
export function loadBytes(url: string, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
  return download(absolute(url), bytes)
}

export { OnnxSessionError } from './error.ts'
export { half } from './float16.ts'
export { frozen } from './frozen.ts'
export { readImage } from './image-web.ts'
export { readImages, readMedia } from './media.ts'
export { readAnswer } from './results/answer.ts'
export { readClasses } from './results/classes.ts'
export { readDetections } from './results/detections.ts'
export { toRgba } from './results/picture.ts'
export { readPicture } from './results/picture-web.ts'
export { predicting } from './results/predict.ts'
export { readSound } from './sound/sound-web.ts'
export { OnnxTensor } from './tensor.ts'
export { readText } from './text.ts'
export type * from './types.ts'
