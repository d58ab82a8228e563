import { optionsFile, type PluginOptions, readOptionsFile, validatePluginOptions } from '../options/index.ts'

/**
 * The plugin's options from `--config`, else from the project's file of options, if it has one.
 *
 * @param file path relative to `cwd`
 * @param root the project's folder
 * @throws OnnxError if the file cannot be read or its options are wrong
 */
export async function loadConfig(file: unknown, cwd: string, root: string): Promise<PluginOptions> {
  const path = typeof file === 'string' ? optionsFile(cwd, file) : optionsFile(root, undefined)
  if (!path) return {}
  const options = await readOptionsFile(path)
  validatePluginOptions(options)
  return options
}
