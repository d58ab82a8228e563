import type { Tensor } from '../../../../graph/tensor.ts'
import type { Dim } from '../../../../graph/types.ts'
import type { DType } from '../../../../onnx/dtypes.ts'
import { OnnxError } from '../../../../onnx/errors.ts'

/** One run's inputs by name. */
export type Feeds = Readonly<Record<string, Tensor>>

/** An input that calibration data must give. */
export interface InputSpec {
  name: string
  dtype: DType | undefined
  /** Undefined where not even the rank is known. */
  shape: readonly Dim[] | undefined
  /** True if the model has a default for it. */
  optional: boolean
}

/** Calibration data that can be read as often as needed. */
export interface CalibrationData {
  /** Reads it from the start. */
  open(): AsyncIterable<Feeds>
}

/** What a reader of one kind of data gets. */
export interface DataRequest {
  /** Absolute path. */
  path: string
  inputs: readonly InputSpec[]
  /** Names in the data by name of the model's input. */
  sources: Readonly<Record<string, string>>
}

/** The error for calibration data that cannot be used. */
export function badData(what: string, path: string, hint?: string, cause?: unknown): OnnxError {
  return new OnnxError('CALIBRATION_DATA', what, {
    place: { file: path },
    ...(hint ? { hint } : {}),
    ...(cause === undefined ? {} : { cause }),
  })
}

/** `image (float32 [1, 1, 8, 8])`, for messages. */
export function describeInput({ name, dtype, shape }: InputSpec): string {
  return `${name} (${dtype ?? 'any type'}${shape ? ` [${shape.map((dim) => dim ?? '?').join(', ')}]` : ''})`
}
