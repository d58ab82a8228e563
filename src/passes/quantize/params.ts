/** Parameters that every kind of quantization reads. */
export const quantizeParams = {
  quantize: {
    type: 'enum',
    doc: 'Quantization to integers: `dynamic` finds ranges of activations at run time, `static` beforehand on calibration data; `weights` and `bnb4` make weights of a few bits, products stay float; `auto` finds out what fits within `maxLoss`',
    values: ['none', 'dynamic', 'static', 'weights', 'bnb4', 'auto'],
    default: 'none',
  },
  weightType: {
    type: 'enum',
    doc: 'Type of quantized weights. Default: the one that the runtime multiplies fastest (int8, for Conv uint8). Other than 8 bits: static only',
    values: ['int8', 'uint8', 'int4', 'uint4', 'int16', 'uint16'],
  },
  perChannel: {
    type: 'boolean',
    doc: 'One scale per output channel of a weight instead of one per tensor',
    default: true,
  },
  reduceRange: {
    type: 'boolean',
    doc: 'Weights of 7 bits, so that 16-bit sums of CPUs without VNNI cannot saturate. Default: as many bits as cannot saturate, found per channel',
  },
  weightSymmetric: {
    type: 'boolean',
    doc: 'Zero point of weights in the middle of the range. Default: true for int8, false for uint8',
  },
  ops: {
    type: 'list',
    doc: 'Quantize only operators of these types; `*` with quantize=static: all, those too that only accelerators have in integers',
    placeholder: 'Op',
  },
  excludeOps: {
    type: 'list',
    doc: 'Leave operators of these types float',
    placeholder: 'Op',
  },
  nodes: {
    type: 'list',
    doc: 'Quantize only nodes whose name fits one of these globs',
    placeholder: 'glob',
  },
  excludeNodes: {
    type: 'list',
    doc: 'Leave nodes float whose name fits one of these globs',
    placeholder: 'glob',
  },
  smoothNorms: {
    type: 'boolean',
    doc: 'Move differences between the channels of normalizations from activations into weights. Default: as perChannel',
  },
  floatOutliers: {
    type: 'boolean',
    doc: 'Multiply the few rows of a weight that dwarf all others in float. Default: as perChannel',
  },
  matmulConstOnly: {
    type: 'boolean',
    doc: 'Leave MatMuls of two computed matrices float',
    default: true,
  },
} as const
