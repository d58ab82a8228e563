/**
 * Where the table of `onnxruntime-web` for WebGPU is not what its build for WebGPU does. Measured with version 1.30.0 in Chromium, by
 * loading a model of one node for each operator and each version of it, and reading where the node was placed.
 */

/** Standard operators with kernels that the table does not have, and the opsets that they are for. */
export const UNLISTED: Readonly<Record<string, readonly [from: number, to: number]>> = {
  And: [7, Number.POSITIVE_INFINITY],
  GRU: [7, 21],
  Identity: [1, Number.POSITIVE_INFINITY],
  LSTM: [7, 21],
  Loop: [11, Number.POSITIVE_INFINITY],
  LpNormalization: [1, Number.POSITIVE_INFINITY],
  Max: [8, Number.POSITIVE_INFINITY],
  Min: [8, Number.POSITIVE_INFINITY],
  Mish: [18, Number.POSITIVE_INFINITY],
  PRelu: [9, Number.POSITIVE_INFINITY],
  RMSNormalization: [23, Number.POSITIVE_INFINITY],
  RotaryEmbedding: [23, Number.POSITIVE_INFINITY],
  Scan: [11, Number.POSITIVE_INFINITY],
  ScatterElements: [11, Number.POSITIVE_INFINITY],
  Softplus: [1, Number.POSITIVE_INFINITY],
  Swish: [24, Number.POSITIVE_INFINITY],
  TopK: [11, Number.POSITIVE_INFINITY],
}

/**
 * The last opset of operators that the table has without an end. A kernel is for one version of its operator: where a newer
 * opset has a newer one, ONNX Runtime does not take it.
 */
export const LAST: Readonly<Record<string, number>> = {
  Acos: 21,
  Acosh: 21,
  Asin: 21,
  Asinh: 21,
  Atan: 21,
  Atanh: 21,
  ConvTranspose: 21,
  Cos: 21,
  Cosh: 21,
  Elu: 21,
  Flatten: 22,
  GlobalAveragePool: 21,
  GlobalMaxPool: 21,
  HardSigmoid: 21,
  If: 22,
  MaxPool: 21,
  Pad: 23,
  Sin: 21,
  Sinh: 21,
  Tan: 21,
  ThresholdedRelu: 21,
}
