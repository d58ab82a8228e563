/** Parameters that several passes read. */

export const optimizeParam = {
  type: 'enum',
  doc: 'Lossless clean-ups (`clean`), and on top of them the offline optimizer of ONNX Runtime at a level; `all` fits this machine only',
  values: ['none', 'clean', 'basic', 'extended', 'all'],
  default: 'clean',
} as const

export const precisionParam = {
  type: 'enum',
  values: ['float32', 'float16', 'mixed', 'bfloat16'],
  default: 'float32',
  doc: 'Floating-point type that the model computes in. `float16` halves the file and suits GPUs (on CPUs it is slower); `mixed` leaves in float32 the few nodes that need it, found by running the model; `bfloat16` is for CUDA, where it keeps the range of float32',
} as const

export const geluApproximationParam = {
  type: 'boolean',
  doc: 'Replace the exact Gelu by its tanh approximation (differences up to 5e-4)',
  default: false,
} as const
