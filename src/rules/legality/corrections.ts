/**
 * Where the list of `onnxruntime-web` for WebGPU is not what its build for WebGPU does. Measured with version 1.30.0 in Chromium, by
 * loading a model of one node for each operator and each version of it, and reading where the node was placed.
 */
export const WEBGPU_UNLISTED: Readonly<Record<string, readonly [from: number, to: number]>> = {
  And: [7, Number.POSITIVE_INFINITY],
  'com.microsoft:BiasGelu': [1, Number.POSITIVE_INFINITY],
  GRU: [7, 21],
  Identity: [1, Number.POSITIVE_INFINITY],
  LSTM: [7, 21],
  Loop: [11, Number.POSITIVE_INFINITY],
  LpNormalization: [1, Number.POSITIVE_INFINITY],
  Max: [8, Number.POSITIVE_INFINITY],
  Min: [8, Number.POSITIVE_INFINITY],
  Mish: [18, Number.POSITIVE_INFINITY],
  PRelu: [9, Number.POSITIVE_INFINITY],
  Pad: [2, 23],
  RMSNormalization: [23, Number.POSITIVE_INFINITY],
  RotaryEmbedding: [23, Number.POSITIVE_INFINITY],
  Scan: [11, Number.POSITIVE_INFINITY],
  ScatterElements: [11, Number.POSITIVE_INFINITY],
  Softplus: [1, Number.POSITIVE_INFINITY],
  Swish: [24, Number.POSITIVE_INFINITY],
  TopK: [11, Number.POSITIVE_INFINITY],
}
