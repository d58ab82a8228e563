/** Where the emitted module will run: decides the wrapper and the ONNX Runtime package. */
export type RuntimeName = 'web' | 'node'

/** Devices that exist in browsers only, so that naming one means the browser wrapper. */
const WEB_DEVICES = new Set(['wasm', 'webnn'])

/** The wrapper that suits a device when nobody said where the code will run (`webgpu` exists in both: a browser is assumed). */
export function runtimeOf(device: string): RuntimeName {
  return WEB_DEVICES.has(device) || device === 'webgpu' ? 'web' : 'node'
}

/** Specifier of the wrapper that an emitted module imports. */
export function wrapperEntry(runtime: RuntimeName): string {
  return `unplugin-onnx/runtime/${runtime}`
}

/**
 * Specifier of the narrowest ONNX Runtime entry that runs `device`. `onnxruntime-web/wasm` is half of the bytes of the
 * whole package; the `webgpu` entry also holds WebNN. What is emitted beside it must be the .mjs and .wasm of the same entry.
 */
export function ortEntry(device: string, runtime: RuntimeName): string {
  if (runtime === 'node') return 'onnxruntime-node'
  return device === 'webgpu' || device === 'webnn' ? 'onnxruntime-web/webgpu' : 'onnxruntime-web/wasm'
}
