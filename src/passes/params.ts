/** Parameters that several passes read. */

export const optimizeParam = {
  type: 'enum',
  doc: 'Lossless clean-ups (`clean`), and on top of them the offline optimizer of ONNX Runtime at a level; `all` fits this machine only',
  values: ['none', 'clean', 'basic', 'extended', 'all'],
  default: 'clean',
} as const
