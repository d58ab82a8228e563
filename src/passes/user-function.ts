import { statSync } from 'node:fs'
import { OnnxError } from '../onnx/errors.ts'
import { importAnew } from './import-anew.ts'
import { withoutExit } from './without-exit.ts'

/** What a module of the user's must be. */
export interface Wanted {
  /** Code of the error if it is not. */
  code: string
  /** What the function does, e.g. `evaluates models`. */
  purpose: string
  /** The function as it could be written. */
  example: string
}

/**
 * The default export of a module, as it is now: one that has changed since it was last loaded is loaded again.
 *
 * @throws OnnxError with the code given if there is no such module, it fails, or its default export is no function
 */
export async function loadFunction<T>(file: string, { code, purpose, example }: Wanted): Promise<T> {
  const invalid = (what: string, cause?: unknown): OnnxError =>
    new OnnxError(code, what, {
      place: { file },
      hint: `Write a module whose default export is ${example}.`,
      cause,
    })
  const found = statSync(file, { throwIfNoEntry: false })
  if (!found) throw invalid(`there is no module that ${purpose}`)
  let loaded: unknown
  try {
    loaded = await withoutExit(() => importAnew(file, `changed=${found.mtimeMs}`))
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw invalid(`the module that ${purpose} fails: ${message}`, cause)
  }
  if (typeof loaded !== 'function') throw invalid(`the default export of the module that ${purpose} is no function`)
  return loaded as T
}
