import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { OnnxError } from '../onnx/errors.ts'

/**
 * Writes a text file unless it already has this content, so that watchers and the TypeScript server stay quiet.
 * Readers see the old or the new content, never half of it. Returns whether it wrote.
 *
 * @throws OnnxError `OUTPUT_UNWRITABLE`
 */
export async function writeIfChanged(file: string, content: string): Promise<boolean> {
  const old = await readFile(file, 'utf8').catch(() => undefined)
  if (old === content) return false
  const temporary = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(temporary, content)
    await rename(temporary, file)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {})
    throw new OnnxError('OUTPUT_UNWRITABLE', `the file cannot be written: ${(cause as Error).message}`, {
      place: { file },
      cause,
    })
  }
  return true
}
