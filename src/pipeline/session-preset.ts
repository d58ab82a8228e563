import { readFile } from 'node:fs/promises'
import { OnnxError } from '../onnx/errors.ts'

/** Where tuned session options of a model lie: beside it, by target or device. */
export function sessionPresetFile(model: string): string {
  return `${model}.session.json`
}

/**
 * Session options that were tuned for a model and a target (or its device); undefined if there are none.
 *
 * @throws OnnxError `SESSION_PRESET_INVALID` if the file is no JSON object
 */
export async function readSessionPreset(
  model: string,
  { target, device }: { target: string; device: string },
): Promise<Record<string, unknown> | undefined> {
  const file = sessionPresetFile(model)
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const invalid = (cause?: unknown): OnnxError =>
    new OnnxError('SESSION_PRESET_INVALID', 'this is no file of session options', {
      place: { file },
      hint: 'Write it again with `unplugin-onnx tune`, or remove it.',
      cause,
    })
  let presets: unknown
  try {
    presets = JSON.parse(text)
  } catch (error) {
    throw invalid(error)
  }
  if (typeof presets !== 'object' || presets === null || Array.isArray(presets)) throw invalid()
  const own = (presets as Record<string, unknown>)[target] ?? (presets as Record<string, unknown>)[device]
  if (own !== undefined && (typeof own !== 'object' || own === null)) throw invalid()
  return own as Record<string, unknown> | undefined
}
