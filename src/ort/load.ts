import type * as Ort from 'onnxruntime-node'
import { OnnxError } from '../onnx/errors.ts'
import { installedOrt } from './installed.ts'
import { disableTelemetry } from './telemetry.ts'

let loaded: Promise<typeof Ort> | undefined

/** onnxruntime-node, loaded on first need. Throws OnnxError with a hint where the package or its native part is missing. */
export function loadOrt(): Promise<typeof Ort> {
  disableTelemetry()
  loaded ??= Promise.resolve()
    .then(installedOrt)
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
