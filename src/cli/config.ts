import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { OnnxError } from '../onnx/errors.ts'
import { type PluginOptions, validatePluginOptions } from '../options/index.ts'

/**
 * The plugin's options from `--config`: the default export of a module, or a JSON file.
 *
 * @throws OnnxError if the file cannot be read or its options are wrong
 */
export async function loadConfig(file: unknown, cwd: string): Promise<PluginOptions> {
  if (typeof file !== 'string') return {}
  const path = resolve(cwd, file)
  let options: unknown
  try {
    options = path.endsWith('.json')
      ? JSON.parse(await readFile(path, 'utf8'))
      : ((await import(pathToFileURL(path).href)) as { default?: unknown }).default
  } catch (cause) {
    throw new OnnxError('CONFIG_UNREADABLE', `cannot load the options: ${(cause as Error).message}`, {
      place: { file: path },
      hint: 'Give a .js, .mjs or .json file with the options that the plugin takes.',
      cause,
    })
  }
  if (typeof options !== 'object' || options === null)
    throw new OnnxError('CONFIG_UNREADABLE', 'the file has no options as its default export', { place: { file: path } })
  validatePluginOptions(options)
  return options
}
