/** How far channels are balanced on data: of static quantization, and of weights alone. */
export const smoothParams = {
  smoothAlpha: {
    type: 'number',
    doc: 'On calibration data: how much of the differences between the channels of normalizations goes into the weights (SmoothQuant, AWQ), e.g. 0.5; static: instead of smoothNorms',
    min: 0,
    max: 1,
  },
} as const
