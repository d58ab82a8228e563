import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

/** Folder of real models beside the project, used where it exists. */
export const sharedDir: string = resolve(import.meta.dirname, '../../../shared/models')

/** False on machines without the shared models: tests that need them are skipped by name. */
export const hasShared: boolean = existsSync(sharedDir)

/** Absolute path of a shared model or data file, e.g. `own/tiny-bert.onnx`. */
export function shared(name: string): string {
  return resolve(sharedDir, name)
}
