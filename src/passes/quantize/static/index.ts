import { OnnxError } from '../../../onnx/errors.ts'
import type { ParamOutput } from '../../../params/spec.ts'
import type { Pass } from '../../pass.ts'
import { dataFiles, locate } from '../calibrate/data/files.ts'
import { keepOutputTypes } from '../output-types.ts'
import { staticParams } from './params.ts'

/** Static quantization: ranges of activations are found beforehand, by running the model on calibration data. */
export const staticQuantization: Pass<typeof staticParams> = {
  name: 'quantize-static',
  version: 7,
  doc: 'Quantizes weights and activations, with ranges of activations found on calibration data',
  params: staticParams,
  enabled: ({ quantize }) => quantize === 'static',
  check(options, device) {
    const invalid = (what: string, hint: string): OnnxError => new OnnxError('OPTION_INVALID', what, { hint })
    if (!options.calibration && !options.ranges)
      throw invalid(
        'static quantization needs calibration data',
        'Give calibration (a file or folder of sample inputs) or ranges (a JSON file); quantize=dynamic needs neither.',
      )
    const needsData = [
      options.smoothAlpha !== undefined && 'smoothAlpha',
      options.equalize && 'equalize',
      options.biasCorrection && 'biasCorrection',
    ].filter(Boolean)
    if (needsData.length && !options.calibration)
      throw invalid(
        `${needsData.join(' and ')} need calibration data`,
        'Give calibration, ranges alone are not enough.',
      )
    if (options.smoothAlpha !== undefined && options.smoothNorms === false)
      throw invalid('smoothAlpha and smoothNorms=false contradict each other', 'Leave one of them out.')
    if (options.quantFormat === 'qoperator' && device !== 'cpu' && device !== 'wasm')
      throw invalid(
        `${device} has no kernels for integer operators`,
        'Use quantFormat qdq there, or precision float16.',
      )
    if (device === 'tensorrt' && !isTensorrtType(options))
      throw invalid('TensorRT takes symmetric int8 activations only', 'Use preset=tensorrt.')
    if (options.lossSamples && (!options.calibration || options.quantFormat === 'qoperator'))
      throw invalid('lossSamples needs calibration data and quantFormat qdq', 'Leave it out, or give both.')
    const { activationType, weightType, activationSymmetric, restrictedAsymmetric } = options
    if (activationType.startsWith('int') && weightType === 'uint8')
      throw invalid('int8 activations do not go with uint8 weights', 'Use weightType int8, or uint8 activations.')
    if (options.quantFormat === 'qoperator' && weightType && !weightType.endsWith('int8'))
      throw invalid(`integer operators take no ${weightType} weights`, 'Use quantFormat qdq for 4 and 16 bits.')
    if (options.blockSize !== undefined && (!Number.isInteger(Math.log2(options.blockSize)) || options.blockSize > 256))
      throw new OnnxError('OPTION_VALUE', `block_size=${options.blockSize} is no power of two from 16 to 256`, {
        hint: 'Use 32.',
      })
    const ofPairs = [
      options.dedicatedPairs && 'dedicatedPairs',
      options.pairOnWeights && 'pairOnWeights',
      options.contribOps && 'contribOps',
      !options.quantizeBias && 'quantizeBias=false',
    ].filter(Boolean)
    if (options.quantFormat === 'qoperator' && ofPairs.length)
      throw invalid(
        `${ofPairs.join(' and ')} say${ofPairs.length === 1 ? 's' : ''} how pairs are written, and quantFormat=qoperator writes none`,
        'Leave one of them out.',
      )
    if (options.blockSize !== undefined && (options.quantFormat === 'qoperator' || weightType?.endsWith('16')))
      throw invalid('blockSize is for pairs, and for weights of 4 and 8 bits', 'Leave it out, or use quantFormat qdq.')
    if (options.blockSize !== undefined && activationType.endsWith('int8') && !weightType?.endsWith('4'))
      throw invalid(
        'ONNX Runtime fails at weights of 8 bits in blocks beside activations of 8 bits',
        'Use weightType int4, or activationType uint16.',
      )
    if (options.blockSize !== undefined && (options.pairOnWeights || options.contribOps))
      throw invalid('blockSize goes neither with pairOnWeights nor with contribOps', 'Leave one of them out.')
    if (activationType === 'float8e4m3fn') {
      if (
        options.quantFormat === 'qoperator' ||
        weightType ||
        options.reduceRange ||
        options.contribOps ||
        options.blockSize
      )
        throw invalid(
          'float8 is for pairs, weights included, and has neither integer types, reduced ranges nor blocks',
          'Leave out weightType, reduceRange, contribOps and blockSize, and use quantFormat qdq.',
        )
      // On the CPU ONNX Runtime 1.30 makes integer operators of whatever stands between pairs, and refuses float8 there.
      if (device !== 'cuda' && device !== 'tensorrt')
        throw invalid(
          `${device} has no operators for float8`,
          'Use it for cuda or tensorrt; elsewhere uint8 or uint16.',
        )
      if (!options.calibration || options.ranges)
        throw invalid('float8 needs calibration data', 'Ranges do not tell how values are spread.')
    }
    if (restrictedAsymmetric && (activationType !== 'uint8' || activationSymmetric))
      throw invalid('restrictedAsymmetric is for uint8 activations that are not symmetric', 'Leave one of them out.')
    if (options.quantFormat === 'qoperator' && activationType.endsWith('16'))
      throw invalid('integer operators take 8-bit activations only', 'Use quantFormat qdq for 16 bits.')
  },
  lossless: false,
  dependencies: ({ calibration, ranges, tensorOverrides }, file) => [
    ...(calibration ? dataFiles(calibration, file) : []),
    ...(ranges ? [locate(ranges, file, 'ranges')] : []),
    ...(tensorOverrides ? [locate(tensorOverrides, file, 'tensorOverrides')] : []),
  ],
  run: async (model, options, context) => {
    const { run } = await import('./run.ts')
    const result = await keepOutputTypes(model, () => run(model, options, context))
    ;(await import('../already.ts')).noteIfFloat(model, context.note)
    return result
  },
}

/** TensorRT has no zero points. */
function isTensorrtType({ activationType, activationSymmetric }: ParamOutput<typeof staticParams>): boolean {
  return activationType === 'float8e4m3fn' || (activationType === 'int8' && activationSymmetric)
}
