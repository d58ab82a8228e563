import { filesBelow, inputPaths } from '../../measure/inputs/files.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { ParamOutput } from '../../params/spec.ts'
import { precisionParam } from '../params.ts'
import type { Pass } from '../pass.ts'

const own = {
  keepIoTypes: {
    type: 'boolean',
    default: true,
    doc: 'With float16: inputs and outputs of the model stay float32, so that calling code need not change',
  },
  keepIo: {
    type: 'list',
    placeholder: 'name',
    doc: 'With float16 and keep_io_types=false: inputs and outputs that stay float32 all the same',
  },
  float32Ops: {
    type: 'list',
    placeholder: 'OpType',
    doc: 'With float16: operators that compute in float32, e.g. LayerNormalization,Softmax',
  },
  float32Nodes: {
    type: 'list',
    placeholder: 'glob',
    doc: 'With float16: nodes that compute in float32, by name or by the name of an output',
  },
  float32Inputs: {
    type: 'list',
    placeholder: 'OpType:index',
    doc: 'With float16: inputs of operators that stay float32 where the operator takes both, e.g. GroupNorm:1',
  },
  float32Parts: {
    type: 'list',
    placeholder: 'part',
    doc: 'With float16: parts of the model that compute in float32: norms, softmax, residuals, logits',
  },
  mixedInputs: {
    type: 'list',
    placeholder: 'file',
    doc: 'With mixed: inputs to measure with: .npz files, or folders of input_0.pb ... Default: plausible ones made from the graph',
  },
  mixedCosine: {
    type: 'number',
    min: -1,
    max: 1,
    doc: 'With mixed: lowest cosine between each output and the float32 one. Default 0.9999, or no bar where another is given',
  },
  mixedRtol: {
    type: 'number',
    min: 0,
    doc: 'With mixed: every element must be within mixed_atol + mixed_rtol * |float32|. Default: no bar per element',
  },
  mixedAtol: { type: 'number', min: 0, doc: 'See mixed_rtol' },
  mixedValidate: {
    type: 'string',
    placeholder: 'file',
    doc: 'With mixed: module, relative to the model, whose default export (expected, found) => boolean judges the outputs',
  },
  mixedSamples: { type: 'integer', min: 1, doc: 'With mixed: how many inputs to make, or to take at most. Default 4' },
  mixedRuns: {
    type: 'integer',
    min: 1,
    default: 64,
    doc: 'With mixed: after this many runs what is good enough is taken, though it might need fewer float32 nodes',
  },
  rangeCheck: {
    type: 'boolean',
    default: true,
    doc: 'With float16 for a GPU: run the model once, and go on as with mixed if values leave the half range',
  },
  mixedRescale: {
    type: 'boolean',
    default: true,
    doc: 'With mixed: values beyond the half range are stored divided by powers of two where the operators around them allow, instead of in float32',
  },
  overflow: {
    type: 'enum',
    values: ['keep', 'clip', 'error'],
    default: 'keep',
    doc: 'With float16: what becomes of weights beyond 65504: they stay float32, are clipped, or stop the build',
  },
} as const

const params: typeof own & { readonly precision: typeof precisionParam } = { precision: precisionParam, ...own }

/** First opset with Where, which the measurements of mixed precision are built from. */
export const OLDEST_MIXED = 9

export type Float16Options = ParamOutput<typeof params>

/** Converts a model from float32 to float16 wherever ONNX Runtime's operators take it. */
export const float16: Pass<typeof params> = {
  name: 'float16',
  version: 7,
  doc: 'Converts float32 to float16',
  params,
  lossless: false,
  enabled: ({ precision }) => precision !== 'float32',
  check({ precision, keepIoTypes }, device) {
    if (device === 'tensorrt')
      throw new OnnxError('FLOAT16_TARGET', 'TensorRT chooses the precision of each layer itself', {
        hint: 'Leave the model in float32 and set the provider option trt_fp16_enable or trt_bf16_enable.',
      })
    if (precision !== 'bfloat16') return
    if (device !== 'cuda')
      throw new OnnxError('BFLOAT16_TARGET', `nothing on ${device} computes in bfloat16`, {
        hint: 'Of the devices only CUDA has kernels for it. Use precision=float16, or mixed where its range is too small.',
      })
    if (!keepIoTypes)
      throw new OnnxError('BFLOAT16_IO', 'JavaScript has no arrays of bfloat16 for inputs and outputs', {
        hint: 'Leave keep_io_types on: inputs and outputs stay float32.',
      })
  },
  dependencies: ({ precision, mixedInputs, mixedValidate }, file) =>
    precision !== 'float32'
      ? [
          ...inputPaths(mixedInputs, file).flatMap(filesBelow),
          ...inputPaths(mixedValidate ? [mixedValidate] : [], file),
        ]
      : [],
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
