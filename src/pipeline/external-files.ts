import { closeSync, fstatSync, openSync } from 'node:fs'
import { readSkeleton } from '../onnx/skeleton.ts'
import type { ExternalFile } from './external-tensors.ts'

export type { ExternalFile }

/**
 * The data files that a model names, each once, in the order of its tensors. Most models name none, and to see that the
 * file need not be decoded.
 *
 * @throws OnnxError if the file is no model, or a data file is missing, too short, or outside the model's folder
 */
export async function externalFiles(file: string): Promise<ExternalFile[]> {
  return mayNameFiles(file) ? (await import('./external-tensors.ts')).externalTensorFiles(file) : []
}

/**
 * False only if no tensor can be external: each of those has an entry with this key.
 *
 * @param text what else tells: the name of one data file
 */
export function mayNameFiles(file: string, text = 'location'): boolean {
  const fd = openSync(file, 'r')
  try {
    return readSkeleton(fd, file, fstatSync(fd).size).bytes.includes(text)
  } catch {
    // Decoding tells better what is wrong with the file.
    return true
  } finally {
    closeSync(fd)
  }
}
