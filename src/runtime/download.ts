import { OnnxSessionError, reasonOf } from './error.ts'
import type { ModelFiles, VariantDefinition } from './model.ts'
import type { ModelOptions } from './types.ts'

export interface DownloadOptions {
  signal?: AbortSignal | undefined
  /** Called with the number of bytes that each chunk adds. */
  onChunk?: ((bytes: number) => void) | undefined
}

/**
 * Fetches a file of known size.
 * @throws OnnxSessionError DOWNLOAD_FAILED if the server does not give exactly these bytes: many answer a missing file
 * with a page, which ONNX Runtime would only call a broken model.
 */
export async function download(
  url: string,
  bytes: number,
  options: DownloadOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const fail = (why: string, cause?: unknown) => new OnnxSessionError('DOWNLOAD_FAILED', `${url}: ${why}`, cause)
  try {
    const response = await fetch(url, options.signal ? { signal: options.signal } : {})
    if (!response.ok) throw fail(`the server answered ${response.status}`)
    const data = new Uint8Array(bytes)
    const reader = response.body!.getReader()
    let loaded = 0
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      if (loaded + value.length <= bytes) data.set(value, loaded)
      loaded += value.length
      options.onChunk?.(value.length)
    }
    if (loaded !== bytes)
      throw fail(`expected ${bytes} bytes, got ${loaded} of ${response.headers.get('content-type')}`)
    return data
  } catch (error) {
    options.signal?.throwIfAborted()
    throw error instanceof OnnxSessionError ? error : fail(reasonOf(error), error)
  }
}

/** Size of model and external data. */
export function totalBytes({ bytes, external = [] }: Pick<VariantDefinition, 'bytes' | 'external'>): number {
  return external.reduce((total, file) => total + file.bytes, bytes)
}

/** Fetches model and external data of a variant at once. `onProgress` gets the sum over all files. */
export async function downloadFiles(
  variant: VariantDefinition,
  absolute: (url: string | URL) => string,
  { onProgress, signal }: ModelOptions,
): Promise<ModelFiles> {
  const { external = [] } = variant
  let loaded = 0
  const onChunk = (bytes: number) => {
    loaded += bytes
    onProgress?.(loaded, totalBytes(variant))
  }
  const [model, ...data] = await Promise.all(
    [variant, ...external].map(({ url, bytes }) => download(absolute(url), bytes, { signal, onChunk })),
  )
  return { model: model!, external: external.map(({ path }, at) => ({ path, data: data[at]! })) }
}
