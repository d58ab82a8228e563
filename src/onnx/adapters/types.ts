import type { DType } from '../dtypes.ts'

/** One weight of an adapter: row-major, little-endian. */
export interface AdapterTensor {
  name: string
  dtype: DType
  dims: readonly number[]
  data: Uint8Array
}

/** An adapter as a file, and where in it the data of each tensor begins, in the order they were given. */
export interface EncodedAdapter {
  bytes: Uint8Array
  offsets: number[]
}

/** File formats of adapters. */
export const ADAPTER_FORMATS = ['onnx_adapter', 'safetensors', 'npz'] as const
export type AdapterFormat = (typeof ADAPTER_FORMATS)[number]
