import { filesBelow, inputPaths } from '../../measure/inputs/files.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { ParamOutput } from '../../params/spec.ts'
import { channelLast } from '../channel-last/index.ts'
import type { Pass } from '../pass.ts'

const own = {
  verify: {
    type: 'boolean',
    doc: 'Run the original and the result in ONNX Runtime and fail the build if they differ by more than the bars below',
  },
  verifyInputs: {
    type: 'list',
    placeholder: 'file',
    doc: 'Inputs to verify with: .npz files, or folders of input_0.pb ... Default: plausible ones made from the graph',
  },
  verifyCosine: {
    type: 'number',
    min: -1,
    max: 1,
    doc: 'Lowest cosine between each output and the original one. Default 0.99',
  },
  verifyRtol: {
    type: 'number',
    min: 0,
    doc: 'Every element must be within verify_atol + verify_rtol * |original|. Default: no bar per element',
  },
  verifyAtol: { type: 'number', min: 0, doc: 'See verify_rtol' },
  verifySamples: { type: 'integer', min: 1, doc: 'How many inputs to make, or to take at most. Default 4' },
} as const

const params: typeof own & typeof channelLast.params = { ...own, ...channelLast.params }

export type VerifyOptions = ParamOutput<typeof params>

/** Proves that what the other passes made still computes what the original does. Runs after them, changes nothing. */
export const verify: Pass<typeof params> = {
  name: 'verify',
  version: 2,
  doc: 'Runs the original and the result, and compares',
  params,
  lossless: true,
  enabled: ({ verify, verifyInputs, verifyCosine, verifyRtol, verifyAtol, verifySamples }) =>
    verify ??
    [verifyInputs, verifyCosine, verifyRtol, verifyAtol, verifySamples].some((option) => option !== undefined),
  check(options) {
    if (channelLast.enabled(options))
      throw new OnnxError('OPTION_CONFLICT', 'verify cannot compare with the original where channels are turned last', {
        hint: 'Verify without inputsToMakeChannelLast and outputsToMakeChannelLast.',
      })
  },
  dependencies: (options, file) => inputPaths(options.verifyInputs, file).flatMap(filesBelow),
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
