import { presetOf, thisCpu } from './cpu.ts'

/** Values by camelCase key; `undefined` takes back what a lower layer set. */
export type Bundle = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

/**
 * Int8 by CPU. x86 without VNNI adds pairs of u8 x s8 products in 16 bits, which saturates: there the number of bits is
 * left to the pass, which takes as many as cannot saturate. Other CPUs have room for all 8 bits. The type of the weights is
 * no matter of the CPU: it follows from the operators.
 */
export const CPU_PRESETS: Readonly<Record<string, Bundle>> = {
  arm64: { perChannel: true, reduceRange: false },
  avx2: { perChannel: true, reduceRange: undefined },
  avx512: { perChannel: true, reduceRange: undefined },
  avx512_vnni: { perChannel: true, reduceRange: false },
}

/** Everything in pairs, as compilers for accelerators want it; no operator is left float that has a range. */
const COMPILED: Bundle = {
  quantize: 'static',
  quantFormat: 'qdq',
  allOps: true,
  sparePairs: false,
  matmulConstOnly: false,
  smoothNorms: false,
  wideActivations: 'quantize',
}

/**
 * Static quantization by what runs the model. TensorRT takes symmetric int8 only, a pair for every reader, and weights that it quantizes
 * itself. QNN and NNAPI take uint8 for both, in ranges that are never empty, and have fixed scales for some operators; QNN has
 * 16-bit activations (`activation_type=uint16`) and no scales per channel of MatMul. WebNN leaves it to the browser's backend what
 * becomes of pairs: uint8 with one scale per tensor is what all of them have, and what it has no kernel for stays float.
 */
export const ACCELERATOR_PRESETS: Readonly<Record<string, Bundle>> = {
  tensorrt: {
    ...COMPILED,
    activationType: 'int8',
    activationSymmetric: true,
    weightType: 'int8',
    weightSymmetric: true,
    perChannel: true,
    reduceRange: false,
    pairOnWeights: true,
    dedicatedPairs: true,
    quantizeBias: false,
  },
  qnn: {
    ...COMPILED,
    activationType: 'uint8',
    weightType: 'uint8',
    perChannel: false,
    reduceRange: false,
    minimumRealRange: 1e-4,
    fixedScales: 'qnn',
    ops: ['*'],
    completeOverrides: true,
    with: ['qnn'],
  },
  nnapi: {
    ...COMPILED,
    activationType: 'uint8',
    weightType: 'uint8',
    perChannel: false,
    reduceRange: false,
    minimumRealRange: 1e-4,
    fixedScales: 'nnapi',
  },
  webnn: {
    ...COMPILED,
    activationType: 'uint8',
    weightType: 'uint8',
    perChannel: false,
    reduceRange: false,
    contribOps: false,
    excludeOps:
      `Acos Acosh Asin Asinh Atan Atanh Attention Celu Cosh EmbedLayerNormalization GridSample Hardmax LogSoftmax Mean
      MeanVarianceNormalization Mish Mod RMSNormalization Selu Sinh SpaceToDepth Sum ThresholdedRelu TopK`.split(/\s+/),
  },
}

/** CoreML has no quantized operator at all, pairs included: nothing is quantized, and weights are halved. */
export const FLOAT_PRESETS: Readonly<Record<string, Bundle>> = {
  coreml: { quantize: 'none', precision: 'float16' },
}

/** The built-in preset of this name; `auto` is the one of the CPU that this runs on. */
export function builtInPreset(name: string): Bundle | undefined {
  if (name === 'auto') return CPU_PRESETS[presetOf(thisCpu())]
  const presets = { ...CPU_PRESETS, ...ACCELERATOR_PRESETS, ...FLOAT_PRESETS }
  return Object.hasOwn(presets, name) ? presets[name] : undefined
}

export const BUILT_IN_PRESETS: readonly string[] = [
  ...Object.keys(CPU_PRESETS),
  'auto',
  ...Object.keys(ACCELERATOR_PRESETS),
  ...Object.keys(FLOAT_PRESETS),
]
