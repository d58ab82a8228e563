import { createRequire } from 'node:module'
import type * as Ort from 'onnxruntime-node'
import { OnnxError } from '../onnx/errors.ts'

let loaded: Promise<typeof Ort> | undefined

/**
 * Keeps ONNX Runtime from noting in a database in the user's home what it loads, and from sending it to its makers: a build
 * tool has no leave for that, and it takes longer than the rest of a small build. `ORT_DISABLE_TELEMETRY` of the environment,
 * set to anything, is left as it is. Works on the main thread and before ONNX Runtime is loaded, as threads have a copy of the environment.
 */
export function disableTelemetry(): void {
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1'
}

/** onnxruntime-node, loaded on first need. Throws OnnxError with a hint where the package or its native part is missing. */
export function loadOrt(): Promise<typeof Ort> {
  disableTelemetry()
  // It is CommonJS: `import` would look through all its files for names first.
  loaded ??= Promise.resolve()
    .then(() => createRequire(import.meta.url)('onnxruntime-node') as typeof Ort)
    .then(
      (ort) => {
        ort.env.logLevel = 'error'
        return ort
      },
      (cause: Error) => {
        loaded = undefined
        throw new OnnxError('ORT_MISSING', `onnxruntime-node can't be loaded: ${cause.message}`, {
          hint: 'Install it (npm i onnxruntime-node). If its install script needs the network, see "allowScripts" in the README.',
          cause,
        })
      },
    )
  return loaded
}

/** Version of the installed onnxruntime-node, e.g. `1.30.0`. */
export async function ortVersion(): Promise<string> {
  return (await loadOrt()).env.versions.node ?? 'unknown'
}
