import { OnnxError } from '../../../onnx/errors.ts'
import type { ParamOutput } from '../../../params/spec.ts'
import type { Pass } from '../../pass.ts'
import { dataFiles } from '../calibrate/data/files.ts'
import { weightParams } from './params.ts'

export type WeightOptions = ParamOutput<typeof weightParams>

/** Quantization of weights alone, in blocks: products stay in float, models shrink to a quarter and less. */
export const weightQuantization: Pass<typeof weightParams> = {
  name: 'quantize-weights',
  version: 3,
  doc: 'Quantizes weights in blocks to 2, 4 or 8 bits; activations stay float',
  params: weightParams,
  enabled: ({ quantize }) => quantize === 'weights' || quantize === 'bnb4',
  check({
    quantize,
    bits,
    blockSize = 32,
    symmetric,
    algorithm,
    weightFormat,
    calibration,
    smoothAlpha,
    eightBitNodes,
  }) {
    const isBnb = quantize === 'bnb4'
    if (!isBnb && ![2, 4, 8].includes(bits))
      throw new OnnxError('OPTION_VALUE', `bits=${bits}: weights have 2, 4 or 8 bits`, { hint: 'Use one of these.' })
    const largest = isBnb ? 4096 : 256
    if (!Number.isInteger(Math.log2(blockSize)) || blockSize > largest)
      throw new OnnxError('OPTION_VALUE', `block_size=${blockSize} is no power of two from 16 to ${largest}`, {
        hint: `Use ${isBnb ? 64 : 32}.`,
      })
    if (eightBitNodes?.length && (isBnb || bits !== 4 || weightFormat === 'qdq'))
      throw new OnnxError('OPTION_CONFLICT', 'eight_bit_nodes is for MatMulNBits of 4 bits', {
        hint: 'Use quantize=weights, bits=4 and weight_format=nbits, or leave eight_bit_nodes out.',
      })
    if (algorithm === 'gptq' && isBnb)
      throw new OnnxError('OPTION_CONFLICT', 'algorithm=gptq is for quantize=weights: bnb4 has codes of its own', {
        hint: 'Use quantize=weights, or leave algorithm out.',
      })
    if (smoothAlpha !== undefined && !calibration)
      throw new OnnxError('OPTION_INVALID', 'smoothAlpha needs calibration data', {
        hint: 'Give calibration (a file or folder of sample inputs), or leave smoothAlpha out.',
      })
    if (isBnb) return
    if (algorithm === 'gptq' && !calibration)
      throw new OnnxError('OPTION_INVALID', 'algorithm=gptq needs calibration data', {
        hint: 'Give calibration (a file or folder of sample inputs), or use algorithm=k_quant, which needs none.',
      })
    if (algorithm === 'hqq' && symmetric)
      throw new OnnxError('OPTION_CONFLICT', 'algorithm=hqq has zero points: it cannot be symmetric', {
        hint: 'Use algorithm=mse, or symmetric=false.',
      })
    if (algorithm === 'hqq' && bits !== 4)
      throw new OnnxError(
        'OPTION_CONFLICT',
        `algorithm=hqq has float zero points, which MatMulNBits takes with 4 bits alone`,
        {
          hint: 'Use bits=4, or algorithm=mse.',
        },
      )
    if (weightFormat !== 'qdq') return
    if (algorithm === 'hqq')
      throw new OnnxError(
        'OPTION_CONFLICT',
        'algorithm=hqq has float zero points, which DequantizeLinear does not take',
        {
          hint: 'Use algorithm=mse, or weight_format=nbits.',
        },
      )
    if (bits !== 4 && bits !== 8)
      throw new OnnxError('OPTION_CONFLICT', `DequantizeLinear has no weights of ${bits} bits`, {
        hint: 'Use bits=4, or weight_format=nbits.',
      })
  },
  lossless: false,
  dependencies: ({ algorithm, calibration, smoothAlpha }, file) =>
    calibration && (algorithm === 'gptq' || smoothAlpha !== undefined) ? dataFiles(calibration, file) : [],
  run: async (model, options, context) => {
    const result = await (await import('./run.ts')).run(model, options, context)
    ;(await import('../already.ts')).noteIfFloat(model, context.note)
    return result
  },
}
