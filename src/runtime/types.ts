import type { InferenceSession } from 'onnxruntime-node'
import type { OnnxTensor } from './tensor.ts'

/** What each element type is in JavaScript: the typed array of its data, what may be passed for it, one element. */
export interface ElementTypes {
  float32: { data: Float32Array; accepts: Float32Array; element: number }
  /** Data are the raw 16 bits (`toFloat32()` reads them). Numbers are converted, to nearest even. */
  float16: { data: Uint16Array; accepts: Uint16Array | Float32Array; element: number }
  float64: { data: Float64Array; accepts: Float64Array | Float32Array; element: number }
  int8: { data: Int8Array; accepts: Int8Array; element: number }
  uint8: { data: Uint8Array; accepts: Uint8Array | Uint8ClampedArray; element: number }
  int16: { data: Int16Array; accepts: Int16Array; element: number }
  uint16: { data: Uint16Array; accepts: Uint16Array; element: number }
  int32: { data: Int32Array; accepts: Int32Array; element: number }
  uint32: { data: Uint32Array; accepts: Uint32Array; element: number }
  int64: { data: BigInt64Array; accepts: BigInt64Array | Int32Array; element: number | bigint }
  uint64: { data: BigUint64Array; accepts: BigUint64Array | Uint32Array; element: number | bigint }
  bool: { data: Uint8Array; accepts: Uint8Array; element: boolean | 0 | 1 }
  string: { data: string[]; accepts: never; element: string }
  /** Two elements a byte, as packed by ONNX; no plain numbers. */
  int4: { data: Uint8Array; accepts: Uint8Array; element: never }
  uint4: { data: Uint8Array; accepts: Uint8Array; element: never }
}
/** Element types that a tensor can have in JavaScript. */
export type DType = keyof ElementTypes

/** A number is fixed, a string is a named dynamic dimension, null is unknown. */
export type Dim = number | string | null
export type Dims = readonly Dim[]

/** Declaration of one input or output. Dims of open length mean an unknown rank. */
export interface Io<T extends DType = DType, D extends Dims = Dims, M = never> {
  dtype: T
  dims: D
  /** What may be passed besides tensors. */
  media: M
}
/** Declarations by name; an optional key is an input that may be left out. */
export type IoMap = { [name: string]: Io<DType, Dims, unknown> | undefined }

/** Sizes of an actual tensor: one number per declared dim. */
export type Sizes<D extends Dims> = { readonly [K in keyof D]: D[K] extends number ? D[K] : number }

/** Arrays nested once per dim; the innermost may be typed arrays. */
export type Nested<T extends DType, D extends Dims> = number extends D['length']
  ? AnyNested<T>
  : D extends readonly []
    ? ElementTypes[T]['element']
    : D extends readonly [unknown]
      ? readonly ElementTypes[T]['element'][] | ElementTypes[T]['accepts']
      : D extends readonly [unknown, ...infer Rest extends Dims]
        ? readonly Nested<T, Rest>[]
        : never
type AnyNested<T extends DType> = ElementTypes[T]['element'] | ElementTypes[T]['accepts'] | readonly AnyNested<T>[]

/** A tensor of ONNX Runtime, or one that another session gave. */
export interface TensorLike<T extends DType = DType> {
  readonly type: T
  readonly dims: readonly number[]
  readonly data: ElementTypes[T]['data']
}

/**
 * What may be passed for an input: nested arrays, a typed array (its shape follows from the declared one), one element
 * where every dim is or can be 1, data with explicit dims, or a tensor.
 */
export type Feed<T extends DType, D extends Dims> = T extends DType
  ?
      | Nested<T, D>
      | ElementTypes[T]['accepts']
      | ([D[number]] extends [1 | string | null] ? ElementTypes[T]['element'] : never)
      | {
          readonly data: ElementTypes[T]['accepts'] | readonly ElementTypes[T]['element'][]
          readonly dims: Sizes<D>
          readonly type?: undefined
        }
      | TensorLike<T>
  : never
type FeedOf<I> = I extends Io<infer T, infer D, unknown> ? Feed<T, D> | MediaOf<I> : never
/** Of a model that is not known, any. */
type MediaOf<I> =
  I extends Io<DType, Dims, infer M> ? (unknown extends M ? ImageSource | SoundSource | TextSource : M) : never

type Global<Name extends string> = typeof globalThis extends { [N in Name]: { prototype: infer T } } ? T : never
/** An image of the browser, of sharp, a file, or bytes: those of a file, or three or four per pixel, row by row. Alpha is dropped. */
export type ImageSource =
  | { readonly data: Uint8Array | Uint8ClampedArray; readonly width: number; readonly height: number }
  | Uint8Array
  | ArrayBuffer
  | { clone(): unknown; toColourspace(name: string): unknown; toBuffer(): unknown }
  | Global<'Blob'>
  | Global<'ImageData'>
  | Global<'ImageBitmap'>
  | Global<'HTMLCanvasElement'>
  | Global<'OffscreenCanvas'>
  | Global<'HTMLImageElement'>
  | Global<'HTMLVideoElement'>
  | Global<'VideoFrame'>
/** One image or several. */
export type ImagesSource = ImageSource | readonly ImageSource[]
/** A text, several, or pairs of texts; the token inputs of the model are made of them. */
export type TextSource =
  | string
  | readonly string[]
  | { readonly text: string | readonly string[]; readonly textPair?: string | readonly string[] }
/**
 * Samples of one channel with the model's sample rate (a Float32Array, or 16-bit integers), with another rate, an AudioBuffer, or a
 * file or its bytes: WAV in Node, what the browser can decode there.
 */
export type SoundSource =
  | Float32Array
  | Int16Array
  | { readonly data: Float32Array | Int16Array; readonly sampleRate: number }
  | Uint8Array
  | ArrayBuffer
  | Global<'Blob'>
  | Global<'AudioBuffer'>
export type Feeds<I extends IoMap> = { readonly [K in keyof I]: FeedOf<I[K]> }

type OutputOf<O> = O extends Io<infer T, infer D, unknown> ? OnnxTensor<T, D> : never
/** Outputs by name. */
export type Outputs<O extends IoMap, K extends keyof O = keyof O> = { [N in K]: OutputOf<O[N]> }

/** One graph input or output. */
export interface IoInfo {
  readonly name: string
  /** Element type; absent for sequences, maps and optionals, described by `type`. */
  readonly dtype?: string
  /** ONNX type in words: `tensor(float32)`, `sequence(tensor(float32))`, ... */
  readonly type: string
  /** Absent if the rank is unknown. */
  readonly shape?: Dims
  /** True for an input that has a default value and may be left out. */
  readonly optional?: boolean
  /** Set where an image or sound may be passed. */
  readonly media?:
    | { readonly kind: 'image'; readonly least?: number; readonly sizes?: string }
    | { readonly kind: 'sound'; readonly sampleRate: number; readonly least?: number }
    | { readonly kind: 'text'; readonly maxLength?: number; readonly vocabulary?: number }
}

/** What is known of a model without running it. */
export interface ModelInfo {
  readonly inputs: readonly IoInfo[]
  /** Inputs that take the weights of an adapter. */
  readonly adapterInputs?: readonly IoInfo[]
  readonly outputs: readonly IoInfo[]
  /** Opset version by domain ('' is ai.onnx). */
  readonly opsets: { readonly [domain: string]: number }
  readonly irVersion: number
  readonly producer: string
  /** `metadata_props` of the model. */
  readonly metadata: { readonly [key: string]: string }
  /** What `predict` makes of which outputs, by their meaning. */
  readonly result?: {
    readonly kind: 'classes' | 'detections' | 'answer' | 'image'
    readonly outputs: { readonly [meaning: string]: string }
  }
  /** Number of nodes by operator type. */
  readonly ops: { readonly [type: string]: number }
}

export interface RunOptions<K> {
  /** Compute these outputs only. All by default. */
  outputs?: readonly K[]
  /**
   * Of the outputs that `keep` of the model's options left on the device, those that stay there (`*` ends a name); others are
   * downloaded before `run` ends. Default: all that were named there; none after `keep: true`.
   */
  keep?: readonly string[]
  /**
   * `false` passes feeds on without comparing them with the declared shapes: for models that declare wrong ones.
   * Names and element types are checked all the same.
   */
  checkShapes?: boolean
}

/** The target that a session runs on, and what was tried before it. */
export interface TargetChoice<Target extends string = string> {
  target: Target
  /** Execution provider: the target's device, or `cpu` or `wasm` if that could not be had. */
  device: string
  /** Targets that were preferred but can't run here, with the reason. */
  skipped: { target: Target; device: string; reason: string }[]
}

/** A loaded model. Calls of `run` at the same time are fine: they queue where the runtime takes one at a time. */
export interface Session<
  I extends IoMap = IoMap,
  O extends IoMap = IoMap,
  Target extends string = string,
  Adapter extends string = string,
> extends Readonly<TargetChoice<Target>> {
  readonly inputs: readonly IoInfo[]
  readonly outputs: readonly IoInfo[]
  /** Names for `withAdapter`. */
  readonly adapters: readonly Adapter[]
  /** The adapter in use; undefined is the base model. */
  readonly adapter: Adapter | undefined
  /**
   * The same session with another adapter, or with none. Weights are loaded once; switching costs nothing. With adapters that are
   * external data each needs a session of ONNX Runtime, which is opened when it is first asked for. All can be used side by
   * side, and disposing of one disposes of all.
   * @throws OnnxSessionError `ADAPTER_UNKNOWN`, `DOWNLOAD_FAILED`, or `SESSION_FAILED` where a session has to be opened
   */
  withAdapter(name: Adapter | undefined): Promise<Session<I, O, Target, Adapter>>
  /**
   * Runs the model once. An image or sound may be passed alone, without the input's name.
   * @throws OnnxSessionError `INPUT_*` if the feeds don't fit the model, before anything is computed; `RUN_FAILED` if
   * ONNX Runtime fails; `SESSION_DISPOSED` after `dispose`.
   */
  run<K extends keyof O & string = keyof O & string>(
    feeds: Feeds<I> | MediaOf<I[keyof I]>,
    options?: RunOptions<K>,
  ): Promise<Outputs<O, K>>
  /**
   * Runs once on zeros, so that the first real run is as fast as the others. Dynamic dims are 1 unless given by name.
   */
  warmup(dims?: { readonly [dim: string]: number }): Promise<void>
  /** Frees the memory after runs under way have ended. Calling it again does nothing. */
  dispose(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A class of a text or an image; the label where the build was given a file of them. */
export interface Classification {
  class: number
  /** Its probability. */
  score: number
  label?: string
}
/** Something in an image, in pixels of it. */
export interface Detection extends Classification {
  x: number
  y: number
  width: number
  height: number
  /** Where the model gives some. */
  keyPoints?: { x: number; y: number; score?: number }[]
}
/** The part of a text that answers a question: from where to where, in UTF-16 units. Empty where the model says that there is none. */
export interface Answer {
  text: string
  start: number
  end: number
  score: number
}
/** RGBA bytes. */
export interface RawImage {
  data: Uint8ClampedArray<ArrayBuffer>
  width: number
  height: number
  channels: 4
}
/** An `ImageData` in a browser; in Node bytes as sharp takes them. */
export type ImageResult = [Global<'ImageData'>] extends [never] ? RawImage : Global<'ImageData'>

/** A session of a model whose steps end in something that has a plain value. */
export interface PredictingSession<
  I extends IoMap = IoMap,
  O extends IoMap = IoMap,
  Result = unknown,
  Target extends string = string,
  Adapter extends string = string,
> extends Omit<Session<I, O, Target, Adapter>, 'withAdapter'> {
  /**
   * Runs the model once, and reads what comes out: classes, boxes, an answer or an image. Several texts or images (an array) have a
   * result each.
   * @throws OnnxSessionError as `run`
   */
  predict<F extends Feeds<I> | MediaOf<I[keyof I]>>(
    feeds: F,
    options?: Omit<RunOptions<string>, 'outputs'>,
  ): Promise<F extends readonly unknown[] | { readonly text: readonly unknown[] } ? Result[] : Result>
  withAdapter(name: Adapter | undefined): Promise<PredictingSession<I, O, Result, Target, Adapter>>
}

/** Session options of ONNX Runtime. */
export type SessionOptions = InferenceSession.SessionOptions

export interface ModelOptions<Target extends string = string, Adapter extends string = string> {
  /** Take this target and no other. */
  target?: Target
  /** Begin with this adapter; none unless given. */
  adapter?: Adapter
  /** `false`: fail rather than run on `cpu` or `wasm` when no target's device can be had. */
  fallback?: boolean
  /** Called while the model downloads, in bytes of model and external data together. */
  onProgress?: (loaded: number, total: number) => void
  /** Called once, when a target has been taken. */
  onTarget?: (choice: TargetChoice<Target>) => void
  /** Stops a download that is no longer wanted. */
  signal?: AbortSignal
  /** Threads for one run. In a browser more than one needs a cross-origin isolated page. */
  threads?: number
  /**
   * Outputs that stay on the device when the session runs on `webgpu` (`*` ends a name: `present*`), to be fed to the next
   * run without a trip through main memory: `await tensor.getData()` reads them, `tensor.dispose()` frees them. ONNX Runtime fixes
   * this when a session is made: `true` leaves it to `keep` of each run.
   */
  keep?: readonly string[] | true
  /** Session options of ONNX Runtime, over those of the target. */
  session?: SessionOptions
}

/** One emitted build of a model. */
export interface ModelVariant<Target extends string = string> {
  readonly target: Target
  readonly device: string
  readonly url: string
  /** Size of model and external data. */
  readonly bytes: number
  readonly info: ModelInfo
}

/** What an import of a model gives: call it for a session. The rest is there without loading anything. */
export interface Model<
  I extends IoMap = IoMap,
  O extends IoMap = IoMap,
  Target extends string = string,
  Adapter extends string = string,
> {
  /**
   * Downloads the model and ONNX Runtime and makes a session. Each call makes one of its own.
   * @throws OnnxSessionError `SESSION_FAILED` if no target can be run, with each one's reason; `ADAPTER_UNKNOWN`.
   */
  (options?: ModelOptions<Target, Adapter>): Promise<Session<I, O, Target, Adapter>>
  /** URL of the preferred variant. */
  readonly url: string
  readonly inputs: readonly IoInfo[]
  readonly outputs: readonly IoInfo[]
  readonly info: ModelInfo
  /** Adapters that were built with the model. */
  readonly adapters: readonly Adapter[]
  readonly variants: readonly ModelVariant<Target>[]
}

/** What an import of a model gives whose sessions have `predict`. */
export interface PredictingModel<
  I extends IoMap = IoMap,
  O extends IoMap = IoMap,
  Result = unknown,
  Target extends string = string,
  Adapter extends string = string,
> extends Model<I, O, Target, Adapter> {
  (options?: ModelOptions<Target, Adapter>): Promise<PredictingSession<I, O, Result, Target, Adapter>>
}

export type { OnnxSessionError } from './error.ts'
export type { OnnxTensor } from './tensor.ts'
