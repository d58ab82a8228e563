import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { codeOf } from '../../../onnx/dtypes.ts'
import { type Build, type Failure, no, type Replacement, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange, joined, planOf, sizeAlong } from '../axes/arrange.ts'
import { viewOf } from '../axes/view.ts'
import { MASK_FORMS } from '../mask/padding.ts'
import { SDPA } from '../sdpa/index.ts'
import { isFixed, isInfinite } from '../sdpa/terms.ts'
import { flat, isDefault, split } from './multi-head.ts'
import { isAppended, isLength, type Past } from './past.ts'

interface Match extends Build {
  query: Value
  key: Value
  value: Value
  bias?: Value | undefined
  mask?: Value | undefined
  node: NonNullable<Value['producer']>
  root: Value
}

/** Hides a key as well as lower numbers do. */
const HIDDEN = -1e30

/**
 * The standard operator takes shared heads, any additive mask and keys of earlier steps. It has no lengths. Rows whose masks are all
 * minus infinity or the lowest number there is come out as zeros in ONNX Runtime: as a softmax that is guarded against NaN has it
 * for the former, while the latter are the mean of all values.
 */
export const standardAttention: Rule = rule({
  name: 'standard-attention',
  doc: 'SDPA -> Attention of the standard, from opset 23 on',
  emits: ['Attention'],
  match: ({ oneOf, any, ifGiven }) =>
    oneOf(SDPA, any('query'), any('key'), any('value'), ifGiven(any('bias')), ifGiven(any('mask'))),
  check: ({ node, bias }) => fits(node, bias),
  replace: (match) => attend(match, match).root!,
})

export const standardPast: Rule = rule({
  name: 'standard-attention-past',
  lifts: true,
  doc: 'SDPA of keys and values that are appended to those of earlier steps -> Attention with past and present',
  emits: ['Attention'],
  match: ({ oneOf, op, any, ifGiven }) => {
    const keys = op.Concat(any('pastKey'), any('newKey'), { axis: isLength }).as('key').replaced()
    const values = op.Concat(any('pastValue'), any('newValue'), { axis: isLength }).as('value').replaced()
    return oneOf(SDPA, any('query'), keys, values, ifGiven(any('bias')), ifGiven(any('mask')))
  },
  check: (match) => {
    const appended = isAppended(match)
    return appended === true ? fits(match.node, match.bias) : appended
  },
  replace: (match) => attend(match, { ...match, key: match.newKey, value: match.newValue }, match) as Replacement,
})

function fits(node: Match['node'], bias: Value | undefined): true | Failure {
  if (node.int('form', MASK_FORMS.raw) !== MASK_FORMS.raw) return no('has lengths in place of a mask', node)
  return !!node.int('guard') || !isInfinite(node, bias) || no('has rows of NaN that would become zeros', node)
}

function attend(match: Match, own: Pick<Match, 'key' | 'value'>, past?: Past): Record<string, Value> {
  const { node, query, root } = match
  const [heads, size] = [query.shape![1], query.shape![3]]
  if (typeof heads !== 'number' || typeof size !== 'number') throw no('has an unknown shape', query)
  const operands = [query, own.key, own.value]
  const stages = operands.map((operand) => viewOf(operand)!)
  const isFlat = stages.every((one) => !planOf(one, flat(one)).moves)
  const [q, k, v] = isFlat ? stages.map((one) => arrange(match, one, flat(one))) : operands
  const scale = node.float('scale', 1)
  const [attention, presentKey, presentValue] = match.create({
    op: 'Attention',
    inputs: [q, k, v, maskOf(match), past?.pastKey, past?.pastValue],
    attributes: {
      q_num_heads: isFlat ? heads : undefined,
      kv_num_heads: isFlat ? (match.key.shape![1] as number) : undefined,
      scale: isDefault(scale, size) ? undefined : scale,
      softcap: node.float('softcap'),
    },
    outputs: past ? 3 : 1,
  })
  attention!.type = tensorType(root.dtype, isFlat ? undefined : root.shape)
  const laid = isFlat ? split(match, attention!, query, match.value) : attention!
  if (!past) return { root: laid }
  presentKey!.type = match.key.type
  presentValue!.type = match.value.type
  return { root: laid, key: presentKey!, value: presentValue! }
}

/** What is added to the scores, [., ., S, T or 1]: the operator broadcasts batch and heads only. */
function maskOf(match: Match): Value | undefined {
  const { op, constant, query, root, node } = match
  const lowest = isInfinite(node, match.bias) ? Number.NEGATIVE_INFINITY : HIDDEN
  let { bias } = match
  if (bias && lowest === HIDDEN && !isFixed(bias)) {
    const { shape } = bias
    bias = op.Max(bias, HIDDEN)
    bias.type = tensorType(root.dtype, shape)
  }
  if (match.mask) {
    const dtype = root.dtype ?? 'float32'
    const number = Math.max(node.float('mask_filter_value', -1e4), lowest)
    const fill = constant(Tensor.from(dtype, [], [number]), 'fill')
    const seen = op.Cast(op.Unsqueeze(match.mask, [1, 2]), { to: codeOf('bool') })
    bias = op.Where(seen, constant(Tensor.from(dtype, [], [0]), 'zero'), fill)
    bias.type = tensorType(dtype, [match.mask.shape?.[0] ?? null, 1, 1, match.mask.shape?.[1] ?? null])
  }
  if (!bias) return undefined
  const rows = query.shape![2]
  const [isWhole, isWide] = [rows !== null && bias.shape?.[2] === rows, bias.shape?.[3] !== 1]
  if (isWhole && isWide) return bias
  const sizes = [1, 1, isWhole ? 1 : sizeAlong(match, query, 2), isWide ? 1 : sizeAlong(match, match.key, 2)]
  return op.Expand(bias, joined(match, sizes))
}
