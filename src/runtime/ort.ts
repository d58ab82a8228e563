import type { SessionOptions } from './types.ts'

/** The part of ONNX Runtime's JavaScript API that the wrapper uses. onnxruntime-web and onnxruntime-node both have it. */
export interface Ort {
  InferenceSession: { create(model: never, options: SessionOptions): Promise<OrtSession> }
  Tensor: new (type: never, data: never, dims: readonly number[]) => OrtTensor
  env: { wasm: { wasmPaths?: unknown; numThreads?: number } }
  /** In onnxruntime-node only. */
  listSupportedBackends?(): { name: string; bundled: boolean }[]
}

export interface OrtTensor {
  readonly type: string
  readonly dims: readonly number[]
  /** Throws if the data is on a device. */
  readonly data: unknown
  readonly location: string
  getData(releaseData?: boolean): Promise<unknown>
  dispose(): void
}

export interface OrtSession {
  readonly inputNames: readonly string[]
  run(feeds: { [name: string]: OrtTensor }, outputs: readonly string[]): Promise<{ [name: string]: OrtTensor }>
  release(): Promise<void>
}

/** Imports ONNX Runtime. A CommonJS build may come as the default export of its namespace. */
export async function loadOrt(load: () => Promise<unknown>): Promise<Ort> {
  const namespace = (await load()) as Ort & { default?: Ort }
  return namespace.InferenceSession ? namespace : namespace.default!
}
