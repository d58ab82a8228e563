import { readFileSync } from 'node:fs'
import { OnnxError } from '../errors.ts'
import { decodeNpz, encodeNpz } from './npz.ts'
import { decodeOnnxAdapter, encodeOnnxAdapter } from './onnx-adapter.ts'
import { decodeSafetensors, encodeSafetensors } from './safetensors.ts'
import type { AdapterFormat, AdapterTensor, EncodedAdapter } from './types.ts'

export { ADAPTER_FORMATS, type AdapterFormat, type AdapterTensor, type EncodedAdapter } from './types.ts'

/** The format that a file's name promises, or undefined. */
export function adapterFormatOf(file: string): AdapterFormat | undefined {
  return (['onnx_adapter', 'safetensors', 'npz'] as const).find((format) => file.endsWith(`.${format}`))
}

/** Writes an adapter. Throws OnnxError `ADAPTER_UNWRITABLE` if the format can't hold one of its element types. */
export function encodeAdapter(format: AdapterFormat, tensors: readonly AdapterTensor[]): EncodedAdapter {
  try {
    if (format === 'safetensors') return encodeSafetensors(tensors)
    return format === 'npz' ? encodeNpz(tensors) : encodeOnnxAdapter(tensors)
  } catch (error) {
    throw new OnnxError('ADAPTER_UNWRITABLE', `no ${format} file can be made: ${(error as Error).message}`, {
      hint: 'Choose another adapter_format.',
      cause: error,
    })
  }
}

/**
 * Reads an adapter file; its name tells the format.
 * @throws OnnxError `ADAPTER_INVALID`, `ADAPTER_UNREADABLE`
 */
export function readAdapter(file: string): AdapterTensor[] {
  const format = adapterFormatOf(file)
  const place = { file }
  if (!format)
    throw new OnnxError('ADAPTER_INVALID', 'its name does not tell what kind of adapter file this is', {
      place,
      hint: 'Adapters are .onnx_adapter, .safetensors or .npz files.',
    })
  let bytes: Uint8Array
  try {
    bytes = readFileSync(file)
  } catch (cause) {
    throw new OnnxError('ADAPTER_UNREADABLE', `the adapter can't be read: ${(cause as Error).message}`, {
      place,
      cause,
    })
  }
  try {
    if (format === 'safetensors') return decodeSafetensors(bytes)
    return format === 'npz' ? decodeNpz(bytes) : decodeOnnxAdapter(bytes)
  } catch (error) {
    const why = error instanceof OnnxError ? error.what : (error as Error).message
    throw new OnnxError('ADAPTER_INVALID', `this is no sound .${format} file: ${why}`, {
      place,
      hint: 'Export the adapter again.',
      cause: error,
    })
  }
}
