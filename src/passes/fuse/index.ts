import type { Pass } from '../pass.ts'
import { quantizeParams } from '../quantize/params.ts'

const own = {
  fuse: {
    type: 'enum',
    doc: 'Fuse operators into larger ones that compute the same: `auto`, or the model type where it is known',
    values: [
      'none',
      'auto',
      'bert',
      'roberta',
      'distilbert',
      'albert',
      'electra',
      'vit',
      'swin',
      'clip',
      'gpt2',
      'gpt_neox',
      'phi',
      'llama',
      'mistral',
      'qwen2',
      'qwen3',
      'bart',
      't5',
      'whisper',
      'sam2',
      'unet',
      'vae',
      'mmdit',
      'conformer',
      'tnlr',
      'bert_tf',
      'bert_keras',
      'gpt2_tf',
    ],
    default: 'none',
  },
  without: { type: 'list', doc: 'Fusion rules (or groups of them) to leave out', placeholder: 'rule' },
  also: {
    type: 'list',
    doc: 'Fusion rules (or groups) that run on request only: `fused-matmul`, `fused-activation`, `bias-softmax`, `bias-dropout`, `nhwc-conv` (runs for `unet` and `vae`)',
    placeholder: 'rule',
  },
  only: { type: 'list', doc: 'The only fusion rules (or groups of them) to run', placeholder: 'rule' },
  geluApproximation: {
    type: 'boolean',
    doc: 'Replace the exact Gelu by its tanh approximation (differences up to 5e-4)',
    default: false,
  },
  mask: {
    type: 'enum',
    doc: 'Padding mask of fused attention: `raw` is right for every mask, `index` for padding at the end only, `none` drops it',
    values: ['raw', 'index', 'none'],
    default: 'raw',
  },
  numHeads: { type: 'integer', doc: 'Number of attention heads, checked against the graph', min: 1 },
  hiddenSize: { type: 'integer', doc: 'Hidden size, checked against the graph', min: 1 },
  fuseSteps: { type: 'integer', doc: 'Stop after this many fusions, to find a wrong one by halving', min: 0 },
  strict: { type: 'boolean', doc: 'Fail where a fusion rule fails, instead of going on without it', default: false },
} as const

const params: typeof own & Pick<typeof quantizeParams, 'quantize'> = { ...own, quantize: quantizeParams.quantize }

/** Fuses operators: normalizations, activations, attention, convolutions, and the arithmetic around them. */
export const fuse: Pass<typeof params> = {
  name: 'fuse',
  version: 3,
  doc: 'Replaces groups of operators by fused ones that compute the same, as far as the target can run them',
  params,
  enabled: ({ fuse }) => fuse !== 'none',
  lossless: true,
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
