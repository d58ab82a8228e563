import { smoothParams } from '../balance/params.ts'
import { dataParams } from '../calibrate/params.ts'
import { quantizeParams } from '../params.ts'
import { weightParams } from '../weights/params.ts'

const ownParams = {
  calibrationMethod: {
    type: 'enum',
    doc: 'How ranges are found: extremes, least squared error, least divergence, or the share of values inside',
    values: ['minmax', 'mse', 'entropy', 'percentile', 'distribution'],
    default: 'minmax',
  },
  calibrationBins: { type: 'integer', doc: 'Bins of histograms', min: 16, max: 65536, default: 2048 },
  calibrationQuantizedBins: { type: 'integer', doc: '`entropy`: quantized bins', min: 2, max: 65536, default: 128 },
  calibrationPercentile: {
    type: 'number',
    doc: '`percentile`: per cent of the values inside',
    min: 50,
    max: 100,
    default: 99.999,
  },
  calibrationSymmetric: {
    type: 'boolean',
    doc: 'Ranges symmetric around zero. Default: true for `percentile`, else false',
  },
  movingAverage: { type: 'boolean', doc: '`minmax`: means of the extremes of all samples', default: false },
  movingAverageConstant: {
    type: 'number',
    doc: '`movingAverage`: weight of each further sample. Default: all samples count alike',
    min: 0,
    max: 1,
  },
  maskAware: {
    type: 'boolean',
    doc: 'Values of -10000 and below are masks: they are no part of ranges, and tensors that hold them stay float',
    default: true,
  },
  ranges: {
    type: 'string',
    doc: 'File of ranges by tensor (JSON, or a `.cache` or `.flatbuffers` table for TensorRT), instead of calibration or to overrule it',
    placeholder: 'path',
  },
  quantFormat: {
    type: 'enum',
    doc: 'Static quantization: pairs of QuantizeLinear and DequantizeLinear around float operators, or integer operators',
    values: ['qdq', 'qoperator'],
    default: 'qdq',
  },
  activationType: {
    type: 'enum',
    doc: 'Static quantization: type of activations; 16 bits are float in ONNX Runtime, and so is float8, which weights have then too',
    values: ['uint8', 'int8', 'uint16', 'int16', 'float8e4m3fn'],
    default: 'uint8',
  },
  activationSymmetric: { type: 'boolean', doc: 'Zero point of activations in the middle', default: false },
  restrictedAsymmetric: {
    type: 'boolean',
    doc: 'Zero points of uint8 activations are 0 or 128 only',
    default: false,
  },
  minimumRealRange: { type: 'number', doc: 'Least width of ranges', min: 0 },
  quantizeBias: { type: 'boolean', doc: 'Biases of products become int32', default: true },
  adjustForBias: {
    type: 'boolean',
    doc: 'Weights get a larger scale where their bias would not fit into int32',
    default: true,
  },
  dedicatedPairs: {
    type: 'boolean',
    doc: 'A QuantizeLinear/DequantizeLinear pair for every reader of a tensor',
    default: false,
  },
  pairOnWeights: {
    type: 'boolean',
    doc: 'Keep weights float with a QuantizeLinear/DequantizeLinear pair, as TensorRT likes them',
    default: false,
  },
  keepActivations: { type: 'boolean', doc: 'Keep Relu and Clip where quantization does their work', default: false },
  floatOutputs: { type: 'list', doc: 'Leave outputs of operators of these types float', placeholder: 'Op' },
  forceInputs: {
    type: 'boolean',
    doc: 'Operators that only move data quantize their input even if nothing else does',
    default: false,
  },
  channelAxis: { type: 'map', doc: 'Axis of the scales of weights by operator type', placeholder: 'Op:axis' },
  fixedScales: {
    type: 'enum',
    doc: 'Scales that a device demands: NNAPI 1/256 after Sigmoid; QNN, with 16 bits, 1/65536 (int16: 1/32768) after Sigmoid and 1/32768 after Tanh',
    values: ['none', 'nnapi', 'qnn'],
    default: 'none',
  },
  contribOps: {
    type: 'boolean',
    doc: 'QuantizeLinear and DequantizeLinear of ONNX Runtime instead of ONNX: 4 and 16 bits below opset 21',
    default: false,
  },
  tensorOverrides: {
    type: 'string',
    doc: 'JSON file of settings by tensor: `type`, `scale`, `zeroPoint`, `symmetric`, `reduceRange`, `min`, `max`, `axis`, `float`, `convert`',
    placeholder: 'path',
  },
  completeOverrides: {
    type: 'boolean',
    doc: 'Convert activations between operators where tensorOverrides gives some of them another type, so that every operator works in one',
    default: false,
  },
  lossSamples: {
    type: 'integer',
    doc: 'Report what quantization costs each tensor, worst first, on so many samples (`build --json`)',
    min: 1,
  },
  wideActivations: {
    type: 'enum',
    doc: 'What becomes of activations that 8 bits cannot hold, other than at products: they stay float, get 16 bits, or are quantized all the same. Default: `float` with allOps, else `quantize`',
    values: ['float', 'int16', 'quantize'],
  },
  equalize: {
    type: 'boolean',
    doc: 'Channels between a product and the next one are scaled to reach equally far on the calibration data',
    default: false,
  },
  biasCorrection: {
    type: 'boolean',
    doc: 'Biases make up for the mean error of rounded weights on the calibration data',
    default: false,
  },
  sparePairs: {
    type: 'boolean',
    doc: 'Leave tensors float where no integer operator needs them: for readers that stay float, and results of MatMul and Gemm',
    default: true,
  },
  allOps: {
    type: 'boolean',
    doc: 'Quantize element-wise operators and normalizations everywhere, not only between operators that are quantized anyway',
    default: false,
  },
} as const

/** Parameters of static quantization, those shared with other kinds included. */
export const staticParams: typeof quantizeParams &
  typeof dataParams &
  typeof smoothParams &
  typeof ownParams &
  Pick<typeof weightParams, 'blockSize'> = {
  ...quantizeParams,
  ...dataParams,
  ...smoothParams,
  ...ownParams,
  blockSize: weightParams.blockSize,
}
