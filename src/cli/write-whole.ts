import { rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { OnnxError } from '../onnx/errors.ts'
import { makeFolder } from '../pipeline/cache/make-folder.ts'

/**
 * Writes a result, its folder with it. The file appears whole or not at all.
 *
 * @throws OnnxError `OUTPUT_UNWRITABLE`
 */
export async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    await makeFolder(dirname(file))
    await writeFile(temporary, content)
    await rename(temporary, file)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {})
    throw new OnnxError('OUTPUT_UNWRITABLE', `cannot write the result: ${(cause as Error).message}`, {
      place: { file },
      cause,
    })
  }
}
