import type { Model } from '../graph/model.ts'
import type { Tensor } from '../graph/tensor.ts'
import type { AdapterFormat } from '../onnx/adapters/index.ts'
import type { OrtService } from '../ort/service.ts'
import type { ParamOutput, ParamTable } from '../params/spec.ts'

/** Something the user should know about what a pass did or left undone. Printed in the build table and in `--json`. */
export interface Note {
  level: 'info' | 'warn'
  /** Stable code, e.g. `quantize/skipped-node`. */
  code: string
  message: string
  node?: string
}

/** What a pass is given besides the model and its options. */
export interface PassContext {
  ort: OrtService
  /** Where the model came from: relative paths (calibration data, adapters) are resolved against its folder. */
  file: string
  /** Execution device of the target: decides which ops may be emitted. */
  device: string
  /** Number of threads that heavy arithmetic may use. */
  threads: number
  note(note: Note): void
  /** Progress of this pass, 0..1. */
  progress(fraction: number): void
  signal?: AbortSignal
}

/** Adapters that were taken out of a model, or fit it. */
export interface ModelAdapters {
  format: AdapterFormat
  /** True if the inputs are to be written as initializers whose data lie in an adapter's file. All adapters have equal shapes then. */
  isExternal: boolean
  /** Inputs that take an adapter's weights. Until the model is written they have a default value. */
  inputs: readonly string[]
  /** Weights by input. */
  adapters: readonly { name: string; tensors: ReadonlyMap<string, Tensor> }[]
}

/** What may be passed for an input besides tensors. */
export type Media =
  /** The least that each dim may be; the input that takes the sizes of several images. */
  | { kind: 'image'; least?: number; sizes?: string }
  /** Samples per second, and how many there must be at least. */
  | { kind: 'sound'; sampleRate: number; least?: number }
  /** Token ids, of which the model has so many; longer texts are cut. */
  | { kind: 'text'; maxLength?: number; vocabulary?: number }

/** What outputs mean together, and which is which. */
export interface ResultShape {
  kind: 'classes' | 'detections' | 'answer' | 'image'
  outputs: Readonly<Record<string, string>>
}

export interface PassResult {
  /** How many edits were made. 0 promises that the model is exactly as before: nothing to encode again. */
  changes: number
  /** Count per fused operator, for passes that fuse. */
  fused?: Record<string, number>
  /** Files that go with the model. */
  adapters?: ModelAdapters
  /** A tokenizer that goes with the model, as the wrapper reads it. */
  tokenizer?: Uint8Array
  /** Inputs that take images, sound or text, by name. */
  media?: Readonly<Record<string, Media>>
  /** What the outputs mean together, where that is known. */
  result?: ResultShape
  /** Anything else worth showing or keeping, as plain JSON. */
  data?: unknown
}

/** A pass is data about itself plus a function. */
export interface Pass<T extends ParamTable = ParamTable> {
  /** Kebab-case name, unique. */
  name: string
  /** Raised whenever the output for the same input may change: part of the cache key. */
  version: number
  doc: string
  params: T
  /** Whether these options ask for the pass at all. */
  enabled(options: ParamOutput<T>): boolean
  /** Throws an `OnnxError` if these options contradict each other or the device. Called only if the pass is enabled. */
  check?(options: ParamOutput<T>, device: string): void
  /** True if outputs equal the input model's to floating-point rounding. */
  lossless: boolean
  /** True if the result depends on the machine that builds: then CPU features join the cache key. */
  hardwareDependent?(options: ParamOutput<T>): boolean
  /** Files besides the model whose content decides the result (calibration data ...), as absolute paths. */
  dependencies?(options: ParamOutput<T>, file: string): Promise<string[]> | string[]
  run(model: Model, options: ParamOutput<T>, context: PassContext): Promise<PassResult> | PassResult
}

/** Values of parameters by key, where the pass is not known by its type. */
export type AnyOptions = Readonly<Record<string, unknown>>

/** Any pass: what code sees that treats all passes alike. The options given to its functions must hold its defaults. */
export interface AnyPass extends Omit<Pass, 'enabled' | 'check' | 'hardwareDependent' | 'dependencies' | 'run'> {
  enabled(options: AnyOptions): boolean
  check?(options: AnyOptions, device: string): void
  hardwareDependent?(options: AnyOptions): boolean
  dependencies?(options: AnyOptions, file: string): Promise<string[]> | string[]
  run(model: Model, options: AnyOptions, context: PassContext): Promise<PassResult> | PassResult
}
