import type { Pass } from '../pass.ts'

const params = {
  inputsToMakeChannelLast: {
    type: 'list',
    doc: 'Inputs that callers give with the channels last (NxHxWxC for NxCxHxW): as QNN computes, and as pixels come. Calibration data has them last as well',
    placeholder: 'input',
  },
  outputsToMakeChannelLast: {
    type: 'list',
    doc: 'Outputs that have the channels last',
    placeholder: 'output',
  },
} as const

/** Turns inputs and outputs channel-last, with a Transpose inside. The model's signature changes: callers must give the other shape. */
export const channelLast: Pass<typeof params> = {
  name: 'channel-last',
  version: 1,
  doc: 'Turns inputs and outputs of the model channel-last',
  params,
  enabled: ({ inputsToMakeChannelLast: inputs, outputsToMakeChannelLast: outputs }) =>
    !!inputs?.length || !!outputs?.length,
  lossless: true,
  run: async (model, options) => (await import('./run.ts')).run(model, options),
}
