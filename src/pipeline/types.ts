import type { DType } from '../onnx/dtypes.ts'
import type { ResolvedOptions } from '../options/types.ts'
import type { Media, Note, ResultShape } from '../passes/pass.ts'

export type { ResolvedOptions }

/** One graph input or output as the user of the model sees it. */
export interface IoInfo {
  name: string
  /** Element type; undefined for sequences, maps and optionals, described by `type`. */
  dtype?: DType
  /** ONNX type in words: `tensor(float32)`, `sequence(tensor(float32))`, ... */
  type: string
  /** A number is fixed, a string is a named dynamic dimension, null is unknown; undefined when the rank is unknown. */
  shape?: (number | string | null)[]
  /** True for an input that has a default value (an initializer of the same name) and may be left out. */
  optional?: boolean
  /** What else may be passed: an image or sound, for an input with steps behind it. */
  media?: Media
}

/** One adapter of a model. */
export interface ArtifactAdapter extends ArtifactFile {
  /** Name of the adapter. */
  adapter: string
  /**
   * Where adapters are external data: the name that the model has for the file, which is that of the first. Any other is chosen
   * by giving a session its bytes under this name.
   */
  location?: string
  /** Where its weights are in the file, in the order of `info.adapterInputs`. */
  tensors: { offset: number; dims: number[] }[]
}

/** What is known of a model without running it: goes into the wrapper, the types and `?as=info`. */
export interface ModelInfo {
  inputs: IoInfo[]
  /** Inputs that take the weights of an adapter; left out where there are none. */
  adapterInputs?: IoInfo[]
  outputs: IoInfo[]
  /** Opset version by domain ('' is ai.onnx). */
  opsets: Record<string, number>
  irVersion: number
  producer: string
  /** `metadata_props` of the model. */
  metadata: Record<string, string>
  /** What the session makes of outputs by itself; left out where they are just tensors. */
  result?: ResultShape
  /** Nodes by operator type (`domain:Op` outside ai.onnx), main graph and subgraphs. */
  ops: Record<string, number>
  /** True for models that compute in float16, at least in part: left out for others. */
  float16?: boolean
  /** Limits that a WebGPU adapter must have, by name, as far as not every one has them. */
  webgpuLimits?: Readonly<Record<string, number>>
}

/** A file that belongs to an artifact, in the cache folder. */
export interface ArtifactFile {
  /** Absolute path in the cache. */
  file: string
  /** File name to emit under, without hash, e.g. `bert.onnx` or `bert.onnx_data`. */
  name: string
  bytes: number
  /** Of the content, 64 hex digits: up to 1 MiB its SHA-256, above the SHA-256 over those of its pieces of 1 MiB. */
  hash: string
}

/** One row of `build --json` and of the build-end table. */
export interface BuildReport {
  input: string
  output?: string
  /** Files of the adapters that were written with `output`. `hash` is the hex SHA-256. */
  adapters?: { name: string; file: string; bytes: number; hash: string }[]
  /** Size of the source, external data included. */
  bytesBefore: number
  bytesAfter: number
  ms: number
  cache: 'hit' | 'miss' | 'off'
  passes: { name: string; ms: number; changes: number; data?: unknown }[]
  opsBefore: Record<string, number>
  opsAfter: Record<string, number>
  fused: Record<string, number>
  notes: Note[]
}

/** The result of a build of one model with one set of options: files in the cache and what is known of them. */
export interface Artifact {
  /** The cache key. */
  key: string
  model: ArtifactFile
  /** External data; `name` is the `location` that the model refers to, so it must be found beside it under that name. */
  external: ArtifactFile[]
  /** Adapters that fit the model, as files of their own. */
  adapters: ArtifactAdapter[]
  /** The tokenizer of a model that takes text: JSON with `tokenizer` and `config`. */
  tokenizer?: ArtifactFile
  info: ModelInfo
  report: BuildReport
  /** Absolute paths of all files that the result depends on (model, external data, calibration data): watch these. */
  sources: string[]
}

/** What a front end (bundler plugin, CLI, API) asks of the pipeline. */
export interface BuildRequest {
  /** Absolute path of the source model. */
  file: string
  options: ResolvedOptions
  /** The importing module, for error messages. */
  importSite?: string
  /** Calls the build off. Another request for the same result goes on. */
  signal?: AbortSignal
}

/** How far a build is. */
export interface BuildProgress {
  /** The source model. */
  file: string
  /** `hash`, `read`, `write`, or the name of a pass. */
  phase: string
  /** 0..1 within the phase. */
  fraction: number
}
