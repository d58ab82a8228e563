import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** Absolute paths of inputs that options name relative to the model's folder. */
export function inputPaths(paths: readonly string[] | undefined, model: string): string[] {
  return (paths ?? []).map((path) => resolve(dirname(model), path))
}

/** A file itself, the files below a folder: what a build with these inputs depends on. */
export function filesBelow(path: string): string[] {
  if (!existsSync(path) || !statSync(path).isDirectory()) return [path]
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesBelow(join(path, name)))
}
