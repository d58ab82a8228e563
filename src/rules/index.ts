import { OnnxError } from '../onnx/errors.ts'
import { nearest } from '../params/nearest.ts'
import type { Rule } from '../rewrite/index.ts'
import { biasDropout, biasDropoutResidual } from './activations/bias-dropout.ts'
import { biasFastGelu, biasGelu } from './activations/bias-gelu.ts'
import { biasSoftmax } from './activations/bias-softmax.ts'
import { fastGelu } from './activations/fast-gelu.ts'
import { gelu } from './activations/gelu.ts'
import { geluApproximation } from './activations/gelu-approximation.ts'
import { quickGelu } from './activations/quick-gelu.ts'
import { softmax } from './activations/softmax.ts'
import { attentionPhases } from './attention/index.ts'
import { convActivation } from './conv/conv-activation.ts'
import { convAdd, convBatchNorm, convMul } from './conv/conv-arithmetic.ts'
import { padConv, padPool } from './conv/pad.ts'
import { biasAdd } from './diffusion/bias-add.ts'
import { biasSplitGelu } from './diffusion/bias-split-gelu.ts'
import { groupNorm, groupNormSwish } from './diffusion/group-norm.ts'
import { nhwcConv } from './diffusion/nhwc-conv.ts'
import { skipGroupNorm } from './diffusion/skip-group-norm.ts'
import { transposeThrough } from './diffusion/transpose-through.ts'
import { linearBatchNorm } from './linear/batch-norm.ts'
import { matmulScale, matmulTranspose } from './linear/fused-matmul.ts'
import { gemmSum, gemmTransposedInput, gemmTransposedOutput, matmulAdd } from './linear/gemm.ts'
import { gemmActivation } from './linear/gemm-activation.ts'
import { embedLayerNorm } from './normalizations/embed-layer-norm.ts'
import { layerNorm } from './normalizations/layer-norm.ts'
import { layerNormChannels } from './normalizations/layer-norm-channels.ts'
import { layerNormTf } from './normalizations/layer-norm-tf.ts'
import { lpNorm } from './normalizations/lp-norm.ts'
import { rmsNorm } from './normalizations/rms-norm.ts'
import { skipLayerNorm, skipLayerNormBias, skipRmsNorm } from './normalizations/skip.ts'
import { divMul, notWhere, reluClip } from './shape/arithmetic.ts'
import { constantShape } from './shape/constant-shape.ts'
import { reshapeReshape, sliceSlice, transposeTranspose, unsqueezeUnsqueeze } from './shape/merge.ts'
import { spaceToDepth } from './shape/space-to-depth.ts'

/** Rules that run together to a fixpoint. `group` is the name by which users choose them, besides the rules' own names. */
export interface Phase {
  readonly group: string
  readonly rules: readonly Rule[]
  /** True for what runs only where it is asked for by name. */
  readonly onRequest?: boolean
}

/**
 * All fusion rules in the order of their phases. The order matters: shapes first, as others read them; norms before the RMS norm
 * hidden in them; attention before the sums around it are taken; biases after, as they go into whatever the sums became; then
 * what would hide the patterns of the phases before it. What runs on request is what ONNX Runtime does by itself when it loads a
 * model (and what quantization would not find its operators after), or is not exact.
 */
export const phases: readonly Phase[] = [
  { group: 'shapes', rules: [constantShape] },
  { group: 'softmax', rules: [softmax] },
  { group: 'layer-norm', rules: [layerNorm, layerNormTf, layerNormChannels] },
  { group: 'rms-norm', rules: [rmsNorm] },
  { group: 'group-norm', rules: [groupNormSwish] },
  { group: 'group-norm', rules: [groupNorm] },
  { group: 'gelu', rules: [gelu, fastGelu, quickGelu] },
  { group: 'bias-split-gelu', rules: [biasSplitGelu] },
  ...attentionPhases,
  { group: 'embed-layer-norm', rules: [embedLayerNorm] },
  { group: 'skip-layer-norm', rules: [skipLayerNorm, skipRmsNorm] },
  { group: 'skip-group-norm', rules: [skipGroupNorm] },
  { group: 'bias-gelu', rules: [biasGelu, biasFastGelu] },
  { group: 'bias-skip-layer-norm', rules: [skipLayerNormBias] },
  { group: 'bias-add', rules: [biasAdd] },
  { group: 'conv', rules: [convMul, convAdd, convBatchNorm] },
  { group: 'gemm', rules: [linearBatchNorm, matmulAdd, gemmSum, gemmTransposedInput, gemmTransposedOutput] },
  { group: 'nhwc-conv', rules: [nhwcConv], onRequest: true },
  { group: 'nhwc-conv', rules: [transposeThrough, transposeTranspose], onRequest: true },
  { group: 'qnn', rules: [lpNorm, spaceToDepth], onRequest: true },
  // The channels-last operator pads both sides alike.
  { group: 'conv', rules: [padConv, padPool] },
  {
    group: 'merge',
    rules: [reshapeReshape, transposeTranspose, unsqueezeUnsqueeze, sliceSlice, notWhere, divMul, reluClip],
  },
  { group: 'gelu-approximation', rules: [geluApproximation], onRequest: true },
  { group: 'fused-matmul', rules: [matmulTranspose, matmulScale], onRequest: true },
  { group: 'fused-activation', rules: [convActivation, gemmActivation], onRequest: true },
  { group: 'bias-softmax', rules: [biasSoftmax], onRequest: true },
  { group: 'bias-dropout', rules: [biasDropout, biasDropoutResidual], onRequest: true },
]

/** Names of rules and groups. */
export interface Choice {
  /** What a kind of model needs; all where it is not given. */
  among?: readonly string[] | undefined
  /** To leave out. */
  without?: readonly string[] | undefined
  /** To add: of what runs on request, or is not `among` the others. */
  also?: readonly string[] | undefined
  /** To run alone. */
  only?: readonly string[] | undefined
  /** The only attention operators that may come out. */
  attention?: readonly string[] | undefined
}

/** Attention operators, of which users may choose. */
const ATTENTION = /(^|:)(Attention|MultiHeadAttention|GroupQueryAttention|PagedAttention)$/

/**
 * The phases that a user asks for.
 *
 * @throws OnnxError `OPTION_INVALID` for a name that no rule has
 */
export function chosenPhases(choice: Choice, all: readonly Phase[] = phases): Rule[][] {
  const known = new Set(all.flatMap(({ group, rules }) => [group, ...rules.map(({ name }) => name)]))
  const names = (list: readonly string[] = []): Set<string> => new Set(list.map((name) => checked(name, known)))
  const [among, without, also, only] = [choice.among, choice.without, choice.also, choice.only].map(names)
  const { attention } = choice
  const isWanted = ({ emits }: Rule): boolean => {
    const operators = emits.filter((op) => ATTENTION.test(op))
    return !attention || !operators.length || operators.some((op) => attention.includes(op))
  }
  return all
    .map(({ group, rules, onRequest }) =>
      rules.filter((rule) => {
        const isIn = (set: ReadonlySet<string> | undefined): boolean =>
          !!set?.size && (set.has(group) || set.has(rule.name))
        if (isIn(without) || !isWanted(rule)) return false
        return only!.size ? isIn(only) : isIn(also) || (!onRequest && (!among!.size || isIn(among)))
      }),
    )
    .filter((rules) => rules.length)
}

/** What other tools call differently. */
const ALIASES: Readonly<Record<string, string>> = {
  'bias-splitgelu': 'bias-split-gelu',
  'rotary-embeddings': 'rotary-embedding',
  'simplified-layer-norm': 'rms-norm',
  'skip-simplified-layer-norm': 'skip-rms-norm',
}

/** Switches of other tools that have nothing to switch here, and why. */
const NOTHING_TO_SWITCH: Readonly<Record<string, string>> = {
  'shape-inference': 'Shapes are always found, as rules rely on them.',
  'qordered-matmul': 'Operators of the QOrdered kind are not made.',
  'gemm-fast-gelu': 'No runtime that can be targeted has a kernel for GemmFastGelu.',
  'multi-head-attention-bias': 'Biases always stay with their projections.',
  'group-norm-channels-first': 'GroupNorm always has the channels last, with Transposes that cancel out.',
}

/** Rule names are kebab-case; the snake_case that other tools use means the same. */
function checked(name: string, known: ReadonlySet<string>): string {
  const kebab = name.replaceAll('_', '-')
  for (const candidate of [kebab, ALIASES[kebab]]) if (candidate && known.has(candidate)) return candidate
  const near = nearest(kebab, [...known])
  throw new OnnxError('OPTION_INVALID', `no fusion rule is called "${name}"`, {
    hint:
      NOTHING_TO_SWITCH[kebab] ??
      `${near ? `Did you mean "${near}"? ` : ''}Rules and groups: ${[...known].sort().join(', ')}.`,
  })
}
