import { resolve } from 'node:path'
import { glob as findFiles } from 'tinyglobby'
import { matchesModel } from '../options/index.ts'

/**
 * Globs of the option `models` that nothing in the project can be meant by: no import, and no model that another build of the
 * project may import.
 *
 * @param asked absolute paths of the models that were imported
 */
export async function strayGlobs(globs: readonly string[], asked: Iterable<string>, root: string): Promise<string[]> {
  const stray = without(globs, asked, root)
  if (stray.length === 0) return []
  const ignore = ['**/node_modules/**', '**/.git/**']
  const files = await findFiles('**/*.onnx', { cwd: root, ignore, dot: true })
  return without(
    stray,
    files.map((file) => resolve(root, file)),
    root,
  )
}

function without(globs: readonly string[], files: Iterable<string>, root: string): string[] {
  const models = [...files]
  return globs.filter((glob) => !models.some((file) => matchesModel(glob, file, root)))
}
