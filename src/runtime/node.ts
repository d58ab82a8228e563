import { open, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type AdapterDefinition, type AdapterFile, type AdapterSet, adapterSet } from './adapters.ts'
import { download, downloadFiles } from './download.ts'
import { OnnxSessionError, reasonOf } from './error.ts'
import { externalAdapterSet } from './external-adapters.ts'
import { half } from './float16.ts'
import { createModel, type Platform, sessionOptions, type VariantDefinition } from './model.ts'
import type { OrtSession } from './ort.ts'
import { loadOrt } from './ort.ts'
import { serialQueue } from './queue.ts'
import type { IoInfo, Model } from './types.ts'

/** A model that negates one number: opset 13, one node. */
const NEGATION = Buffer.from('CAg6KgoLCgF4EgF5IgNOZWcSAWdaCwoBeBIGCgQIARIAYgsKAXkSBgoECAESAEICEA0=', 'base64')

const node: Platform = {
  base: 'cpu',
  async obstacle({ device, ort, url }) {
    const { listSupportedBackends, InferenceSession } = await loadOrt(ort)
    const backends = listSupportedBackends?.()
    const backend = backends?.find(({ name }) => name === device)
    if (backends && !backend) return `onnxruntime-node has no ${device} on this platform`
    // Libraries that are not in the package show only when a session is made whether they are there, which is before a file
    // is read, but after a download.
    if (backend?.bundled === false && isRemote(url))
      try {
        await (await InferenceSession.create(NEGATION as never, { executionProviders: [device] })).release()
      } catch (error) {
        return reasonOf(error)
      }
    return undefined
  },
  load: async (variant, options) =>
    isRemote(variant.url) ? downloadFiles(variant, String, options) : { model: toPath(variant.url) },
  async open(variant, device, files, options) {
    const [ort, { model, external = [] }] = await Promise.all([loadOrt(variant.ort), files])
    // ONNX Runtime looks beside the model only if it is given no data at all.
    for (const { path, url, bytes } of external.length ? (variant.external ?? []) : [])
      if (!external.some((given) => given.path === path))
        external.push({ path, data: await readLarge(toPath(url), bytes) })
    const derived = {
      ...(options.threads && { intraOpNumThreads: options.threads }),
      ...(external.length > 0 && { externalData: external }),
    }
    const raw = await ort.InferenceSession.create(model as never, sessionOptions(variant, device, options, derived))
    // onnxruntime-node runs one call after the other by itself; the queue is for `dispose`, which waits for them.
    return { ort, raw: device === 'webgpu' ? releasedAtExit(raw) : raw, queue: serialQueue() }
  },
}

/** The first bytes of a file, which `readFile` only reads up to 2 GiB. */
async function readLarge(path: string, bytes: number): Promise<Uint8Array> {
  const data = new Uint8Array(bytes)
  const file = await open(path)
  try {
    for (let at = 0; at < bytes; ) {
      const { bytesRead } = await file.read(data, at, Math.min(1 << 30, bytes - at), at)
      if (!bytesRead) throw new OnnxSessionError('DOWNLOAD_FAILED', `${path}: expected ${bytes} bytes, got ${at}`)
      at += bytesRead
    }
  } finally {
    await file.close()
  }
  return data
}

/** A process that ends with a WebGPU session open crashes: the device is gone before the session. */
function releasedAtExit(raw: OrtSession): OrtSession {
  const release = () => void raw.release()
  process.once('exit', release)
  return {
    inputNames: raw.inputNames,
    run: (feeds, outputs) => raw.run(feeds, outputs),
    release() {
      process.off('exit', release)
      return raw.release()
    },
  }
}

function isRemote(url: string | URL): boolean {
  return /^(https?|data|blob):/.test(String(url))
}

/** The file that a `file:` URL or a path names. */
export function toPath(url: string | URL): string {
  return String(url).startsWith('file:') ? fileURLToPath(url) : String(url)
}

/** The bytes of an emitted file. */
export async function loadBytes(url: string, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (isRemote(url)) return download(url, bytes)
  try {
    const { buffer, byteOffset, byteLength } = await readFile(toPath(url))
    return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)
  } catch (error) {
    throw new OnnxSessionError('DOWNLOAD_FAILED', reasonOf(error), error)
  }
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
  // A server has the room.
  return createModel(
    node,
    variants.map((variant) => ({ half, ...variant })),
  )
}

export { OnnxSessionError } from './error.ts'
export { frozen } from './frozen.ts'
export { readImage } from './image-node.ts'
export { readImages, readMedia } from './media.ts'
export { readAnswer } from './results/answer.ts'
export { readClasses } from './results/classes.ts'
export { readDetections } from './results/detections.ts'
export { toRgba } from './results/picture.ts'
export { readPicture } from './results/picture-node.ts'
export { predicting } from './results/predict.ts'
export { readSound } from './sound/sound-node.ts'
export { OnnxTensor } from './tensor.ts'
export { readText } from './text.ts'
export type * from './types.ts'
