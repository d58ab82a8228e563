import { readFile } from 'node:fs/promises'
import { OnnxError } from '../onnx/errors.ts'
import { nearest } from '../params/nearest.ts'

/** Session options of one target. */
export type SessionPreset = Readonly<Record<string, unknown>>

/** What a preset may set, with a check of the value. */
const OPTIONS: Readonly<Record<string, (value: unknown) => boolean>> = {
  executionProviders: (value) =>
    Array.isArray(value) && value.every((item) => typeof item === 'string' || typeof item?.name === 'string'),
  graphOptimizationLevel: (value) => ['disabled', 'basic', 'extended', 'layout', 'all'].includes(value as string),
  executionMode: (value) => value === 'sequential' || value === 'parallel',
  intraOpNumThreads: isCount,
  interOpNumThreads: isCount,
  enableMemPattern: isBoolean,
  enableCpuMemArena: isBoolean,
  enableGraphCapture: isBoolean,
  preferredOutputLocation: (value) => typeof value === 'string' || isRecord(value),
  freeDimensionOverrides: (value) => isRecord(value) && Object.values(value).every(isCount),
  logSeverityLevel: isCount,
  logVerbosityLevel: isCount,
  extra: isRecord,
}

/** Where tuned session options of a model lie: beside it, by target or device. */
export function sessionPresetFile(model: string): string {
  return `${model}.session.json`
}

/**
 * Session options that were tuned for a model and a target (or its device); undefined if there are none.
 *
 * @param options.sessionPreset a file to read instead of the one beside the model
 * @throws OnnxError `SESSION_PRESET_INVALID` if the file is no JSON object of session options, `SESSION_PRESET_MISSING` if one
 * is named and is not there
 */
export async function readSessionPreset(
  model: string,
  { target, device, sessionPreset }: { target: string; device: string; sessionPreset?: string | undefined },
): Promise<SessionPreset | undefined> {
  const file = sessionPreset ?? sessionPresetFile(model)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    if (sessionPreset === undefined) return undefined
    throw new OnnxError('SESSION_PRESET_MISSING', `the session options can't be read: ${(cause as Error).message}`, {
      place: { file: model },
      hint: 'Write them with `unplugin-onnx tune MODEL -o FILE`, or leave `sessionPreset` out.',
      cause,
    })
  }
  const presets = parseSessionPresets(text, file)
  return presets[target] ?? presets[device]
}

/**
 * Reads presets by target, every option checked: ONNX Runtime ignores keys that it does not know.
 *
 * @throws OnnxError `SESSION_PRESET_INVALID`, naming the target and the option
 */
export function parseSessionPresets(text: string, file: string): Record<string, SessionPreset> {
  const invalid = (what: string, cause?: unknown): OnnxError =>
    new OnnxError('SESSION_PRESET_INVALID', what, {
      place: { file },
      hint: 'Write it again with `unplugin-onnx tune`, or remove it.',
      cause,
    })
  let presets: unknown
  try {
    presets = JSON.parse(text)
  } catch (error) {
    throw invalid(`this is no file of session options: ${(error as Error).message}`, error)
  }
  if (!isRecord(presets)) throw invalid('this is no file of session options')
  for (const [target, preset] of Object.entries(presets)) {
    if (!isRecord(preset)) throw invalid(`"${target}" has no session options`)
    for (const [key, value] of Object.entries(preset)) {
      const check = Object.hasOwn(OPTIONS, key) ? OPTIONS[key] : undefined
      const near = check ? undefined : nearest(key, Object.keys(OPTIONS))
      if (!check)
        throw invalid(`"${target}" has the unknown session option "${key}"${near ? `; did you mean "${near}"?` : ''}`)
      if (!check(value)) throw invalid(`"${key}" of "${target}" can't be ${JSON.stringify(value)}`)
    }
  }
  return presets as Record<string, SessionPreset>
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
