import { MODEL_TYPES } from '../../rules/families/names.ts'
import { geluApproximationParam } from '../params.ts'
import type { Pass } from '../pass.ts'
import { quantizeParams } from '../quantize/params.ts'

const kinds: readonly ['none', 'auto', ...typeof MODEL_TYPES] = ['none', 'auto', ...MODEL_TYPES]

const own = {
  fuse: {
    type: 'enum',
    doc: 'Fuse operators into larger ones that compute the same: with all rules (`auto`), or with those of a model type; a wrong type fuses less, never wrongly',
    values: kinds as typeof kinds,
    default: 'none',
  },
  without: { type: 'list', doc: 'Fusion rules (or groups of them) to leave out', placeholder: 'rule' },
  with: {
    type: 'list',
    doc: 'Fusion rules (or groups) to add: to those of a model type, or of what runs on request only: `fused-matmul`, `fused-activation`, `bias-softmax`, `bias-dropout`, `nhwc-conv` (runs for `unet` and `vae`), `packed-kv` (runs for `unet`), `qnn` (`lp-norm` and `space-to-depth`; runs for the device `qnn`)',
    placeholder: 'rule',
  },
  only: { type: 'list', doc: 'The only fusion rules (or groups of them) to run', placeholder: 'rule' },
  geluApproximation: geluApproximationParam as typeof geluApproximationParam,
  mask: {
    type: 'enum',
    doc: 'Padding mask of fused attention: `raw` is right for every mask, `index` (its length) for padding at the end only, `range` (end and start) for padding at both ends, `none` drops it',
    values: ['raw', 'index', 'range', 'none'],
    default: 'raw',
  },
  attentionOp: {
    type: 'enum',
    doc: 'Operator that attention becomes; `auto` takes the one that does most, that the target runs and that is exact for every mask. `GroupQueryAttention` by name: rows without any key may differ, and after earlier tokens it takes one sequence or one token at a time',
    values: ['auto', 'Attention', 'MultiHeadAttention', 'GroupQueryAttention'],
    default: 'auto',
  },
  packing: {
    type: 'boolean',
    doc: 'Leave out padding before attention and put it back at the end (CUDA only): PackedAttention with RemovePadding and RestorePadding',
    default: false,
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
  version: 8,
  doc: 'Replaces groups of operators by fused ones that compute the same, as far as the target can run them',
  params,
  enabled: ({ fuse }) => fuse !== 'none',
  lossless: true,
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
