import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { OnnxError } from '../onnx/errors.ts'
import { importAnew } from '../passes/import-anew.ts'
import type { PluginOptions } from './types.ts'

/** Names that a file of options has where nobody names one, the first that is there. */
export const OPTIONS_FILES: readonly string[] = ['json', 'js', 'mjs', 'ts', 'mts'].map(
  (extension) => `onnx.config.${extension}`,
)

/** What belongs to the place that names the file, not to the file. */
const OUTSIDE = ['config', 'root'] as const

/**
 * The file of options of a project.
 *
 * @param setting a path relative to the folder, or false for none
 * @returns an absolute path; undefined where there is none
 */
export function optionsFile(folder: string, setting: string | false | undefined): string | undefined {
  if (setting === false) return undefined
  if (setting !== undefined) return resolve(folder, setting)
  return OPTIONS_FILES.map((name) => join(folder, name)).find((file) => existsSync(file))
}

/** Changes when the file does; undefined while it can't be read. */
export function optionsFileHash(file: string): string | undefined {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16)
  } catch {
    return undefined
  }
}

/**
 * Reads a file of options: JSON, or the default export of a module, loaded anew when its content has changed.
 *
 * @throws OnnxError `CONFIG_UNREADABLE`, or `OPTION_CONFLICT` for settings that have no meaning there
 */
export async function readOptionsFile(file: string): Promise<PluginOptions> {
  const place = { file }
  let options: unknown
  try {
    options = file.endsWith('.json')
      ? JSON.parse(readFileSync(file, 'utf8'))
      : await importAnew(file, `${optionsFileHash(file)}`)
  } catch (cause) {
    throw new OnnxError('CONFIG_UNREADABLE', `cannot load the options: ${(cause as Error).message}`, {
      place,
      hint: /\.m?ts$/.test(file)
        ? 'Node reads TypeScript from version 22.18 on; before that write it as .mjs or .json.'
        : 'Give a .js, .mjs or .json file with the options that the plugin takes.',
      cause,
    })
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new OnnxError('CONFIG_UNREADABLE', 'the file has no options as its default export', { place })
  for (const key of OUTSIDE)
    if (Object.hasOwn(options, key))
      throw new OnnxError('OPTION_CONFLICT', `\`${key}\` can't be set in a file of options`, {
        place,
        hint: "Set it in the bundler's configuration, or on the command line.",
      })
  return options
}

/** Options of a file with those of the bundler's configuration over them; targets, globs and presets are joined by name. */
export function mergeOptions(file: PluginOptions, own: PluginOptions): PluginOptions {
  const merged: Record<string, unknown> = { ...file, ...own }
  for (const key of ['targets', 'models', 'presets'] as const)
    if (file[key] && own[key]) merged[key] = { ...file[key], ...own[key] }
  return merged
}
