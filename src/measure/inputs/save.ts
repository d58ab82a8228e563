import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeTensor } from '../../onnx/encode.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { Feeds } from '../isolated.ts'

/**
 * Writes feeds as the ONNX test suites have them: a folder `test_data_set_N` for each, with `input_0.pb`, `input_1.pb`, ... in it. Other
 * tools read them, and so does `readInputs`.
 *
 * @throws OnnxError `OUTPUT_UNWRITABLE`
 */
export function saveInputs(folder: string, feeds: readonly Feeds[]): void {
  for (const [set, feed] of feeds.entries()) {
    const path = join(folder, `test_data_set_${set}`)
    try {
      mkdirSync(path, { recursive: true })
      for (const [i, [name, tensor]] of Object.entries(feed).entries())
        writeFileSync(join(path, `input_${i}.pb`), encodeTensor(tensor.toProto(name)))
    } catch (cause) {
      throw new OnnxError('OUTPUT_UNWRITABLE', `the inputs cannot be written: ${(cause as Error).message}`, {
        place: { file: path },
        cause,
      })
    }
  }
}
