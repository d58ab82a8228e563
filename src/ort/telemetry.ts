/**
 * Keeps ONNX Runtime from noting in a database in the user's home what it loads, and from sending it to its makers: a build
 * tool has no leave for that, and it takes longer than the rest of a small build. `ORT_DISABLE_TELEMETRY` of the environment,
 * set to anything, is left as it is. Works on the main thread and before ONNX Runtime is loaded, as threads have a copy of the environment.
 */
export function disableTelemetry(): void {
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1'
}
