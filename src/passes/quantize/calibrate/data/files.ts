import { readdirSync, statSync } from 'node:fs'
import { dirname, join, resolve, sep } from 'node:path'
import { OnnxError } from '../../../../onnx/errors.ts'
import { imageFiles } from './image-files.ts'
import { isModule, moduleFiles } from './module-files.ts'
import { statOf } from './stat.ts'
import { badData } from './types.ts'

/**
 * Absolute path of a file that an option names.
 *
 * @param option undefined for calibration data
 * @throws OnnxError `CALIBRATION_DATA`, or `FILE_NOT_FOUND` for another option, if there is none
 */
export function locate(path: string, model: string, option?: string): string {
  const candidates = [resolve(dirname(model), path), resolve(path)]
  const found = candidates.find((candidate) => statOf(candidate))
  if (found) return found
  const slashes = sep === '/' && path.includes('\\') ? ' Write / between folders: it is right on every system.' : ''
  const hint = `Looked for ${[...new Set(candidates)].join(' and ')}. Paths are relative to the model's folder or to the working directory.${slashes}`
  if (option === undefined) throw badData('there is no such calibration data', path, hint)
  throw new OnnxError('FILE_NOT_FOUND', `there is no such file (${option})`, { place: { file: path }, hint })
}

/** The files whose content is the calibration data; of a module also those that it reads, as far as its text names them. */
export function dataFiles(path: string, model: string): string[] {
  const found = locate(path, model)
  if (!statOf(found)!.isDirectory()) return isModule(found) ? moduleFiles(found) : [found]
  const sets = dataSets(found).flat()
  return sets.length ? sets : imageFiles(found)
}

/** The input files of every set below a folder, in the order of their numbers. */
export function dataSets(folder: string): string[][] {
  const inputsIn = (directory: string): string[] =>
    readdirSync(directory)
      .filter((name) => /^input_\d+\.pb$/.test(name))
      .sort(byNumber)
      .map((name) => join(directory, name))
  const sets = readdirSync(folder)
    .filter((name) => /^test_data_set_\d+$/.test(name) && statSync(join(folder, name)).isDirectory())
    .sort(byNumber)
    .map((name) => inputsIn(join(folder, name)))
  const own = inputsIn(folder)
  return [...sets, ...(own.length ? [own] : [])].filter((files) => files.length > 0)
}

function byNumber(a: string, b: string): number {
  return Number(/\d+/.exec(a)![0]) - Number(/\d+/.exec(b)![0])
}
