import { OnnxError } from '../onnx/errors.ts'
import {
  mergeOptions,
  optionsFileHash,
  type PluginOptions,
  readOptionsFile,
  validatePluginOptions,
} from '../options/index.ts'

/** The file of options of a project, read again whenever its content has changed. */
export class OptionsFile {
  #version: string | undefined
  #merged: Promise<PluginOptions> | undefined

  /**
   * A plugin's own options over those of the file.
   *
   * @param own always the same object
   * @param file absolute path; undefined where there is none
   * @throws OnnxError with the file, every time until it is mended
   */
  over(own: PluginOptions, file: string | undefined): Promise<PluginOptions> {
    const version = file && `${file} ${optionsFileHash(file)}`
    if (!this.#merged || version !== this.#version) {
      this.#version = version
      this.#merged = file ? merge(own, file) : Promise.resolve(own)
    }
    return this.#merged
  }
}

async function merge(own: PluginOptions, file: string): Promise<PluginOptions> {
  const options = mergeOptions(await readOptionsFile(file), own)
  try {
    validatePluginOptions(options)
  } catch (error) {
    throw error instanceof OnnxError ? error.at({ file }) : error
  }
  return options
}
