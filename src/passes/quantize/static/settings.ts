import type { QuantizedType } from '../../../kernels/index.ts'
import type { DType } from '../../../onnx/dtypes.ts'
import type { ParamOutput } from '../../../params/spec.ts'
import type { staticParams } from './params.ts'

export type StaticOptions = ParamOutput<typeof staticParams>

/** Settings of one tensor that go before those of all. */
export interface TensorOverride {
  /** The quantized type. */
  type?: QuantizedType
  /** With `zeroPoint`: the parameters as they are; a list has one element per channel. */
  scale?: number | number[]
  zeroPoint?: number | number[]
  symmetric?: boolean
  /** Constants only. */
  reduceRange?: boolean
  min?: number
  max?: number
  /** Constants only: the axis that has a scale for each of its elements. */
  axis?: number
  /** The tensor stays float. */
  float?: boolean
  /** Activations only: rounded to another type afterwards, for readers that want that. */
  convert?: Conversion
}

/** A second type of an activation. */
export interface Conversion extends Pick<TensorOverride, 'scale' | 'zeroPoint' | 'symmetric' | 'min' | 'max'> {
  type: QuantizedType
  /** Names of the nodes that read this type. Default: all readers, and the output of the model. */
  readers?: readonly string[]
}

export type TensorOverrides = ReadonlyMap<string, TensorOverride>

/** True if values of this type can be quantized: ONNX Runtime's QuantizeLinear takes these. */
export function isQuantizable(dtype: DType | undefined): boolean {
  return dtype === 'float32' || dtype === 'float16'
}
