import { precisionParam } from '../../params.ts'
import { smoothParams } from '../balance/params.ts'
import { dataParams } from '../calibrate/params.ts'
import { quantizeParams } from '../params.ts'

const own = {
  bits: {
    type: 'integer',
    doc: 'With quantize=weights: bits of a weight, 2, 4 or 8',
    default: 4,
    min: 2,
    max: 8,
  },
  blockSize: {
    type: 'integer',
    doc: 'Weights that share a scale, along the axis that products sum over: a power of two from 16 to 256. Default 32 (for bnb4 64, for static quantization none; there it needs opset 21)',
    min: 16,
    max: 4096,
  },
  symmetric: {
    type: 'boolean',
    doc: 'With quantize=weights: no zero points, the middle code means 0',
    default: false,
  },
  algorithm: {
    type: 'enum',
    doc: 'How scales are found: from the range (`rtn`), by least squared error (`mse`, with large weights counting more `k_quant`), half-quadratic (`hqq`), or so that errors cancel out on calibration data (`gptq`)',
    values: ['rtn', 'mse', 'k_quant', 'hqq', 'gptq'],
    default: 'k_quant',
  },
  scaleType: {
    type: 'enum',
    doc: 'With quantize=weights: how scales are stored; float16 is unpacked when the model is loaded',
    values: ['float16', 'float32'],
    default: 'float16',
  },
  mixedBits: {
    type: 'boolean',
    doc: 'With 4 bits: spend the bytes that float16 scales save on 8 bits for the weights whose errors matter most',
    default: true,
  },
  eightBitNodes: {
    type: 'list',
    doc: 'With 4 bits: nodes whose name fits one of these globs get weights of 8 bits',
    placeholder: 'glob',
  },
  accuracyLevel: {
    type: 'integer',
    doc: 'What MatMulNBits may compute in: 1 float32, 2 float16, 3 bfloat16, 4 int8. Default: the runtime decides',
    min: 0,
    max: 4,
  },
  embeddings: {
    type: 'boolean',
    doc: 'With quantize=weights: quantize the tables of Gather too',
    default: true,
  },
  weightFormat: {
    type: 'enum',
    doc: 'With quantize=weights: MatMulNBits of ONNX Runtime, or standard DequantizeLinear (opset 21) in front of MatMul',
    values: ['nbits', 'qdq'],
    default: 'nbits',
  },
  bnbType: {
    type: 'enum',
    doc: 'With quantize=bnb4: the 16 values of a code',
    values: ['nf4', 'fp4'],
    default: 'nf4',
  },
} as const

/** Parameters of the quantization of weights alone. */
export const weightParams: typeof own &
  typeof dataParams &
  typeof smoothParams &
  Pick<typeof quantizeParams, 'quantize' | 'ops' | 'excludeOps' | 'nodes' | 'excludeNodes'> & {
    readonly precision: typeof precisionParam
  } = {
  ...own,
  ...dataParams,
  ...smoothParams,
  quantize: quantizeParams.quantize,
  precision: precisionParam,
  ops: quantizeParams.ops,
  excludeOps: quantizeParams.excludeOps,
  nodes: quantizeParams.nodes,
  excludeNodes: quantizeParams.excludeNodes,
}
