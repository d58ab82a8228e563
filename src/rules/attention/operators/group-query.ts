import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { codeOf } from '../../../onnx/dtypes.ts'
import { type Build, type Failure, no, type Replacement, type Rule, rule, sameDim } from '../../../rewrite/index.ts'
import { arrange, joined, sizeAlong } from '../axes/arrange.ts'
import { viewOf } from '../axes/view.ts'
import { hidesFuture } from '../mask/causal.ts'
import { SDPA } from '../sdpa/index.ts'
import { isFixed, isInfinite } from '../sdpa/terms.ts'
import { flat, guarded, isDefault, split, wholeRows } from './multi-head.ts'
import { isAppended, isLength, type Past } from './past.ts'

interface Match extends Build {
  query: Value
  key: Value
  value: Value
  bias?: Value | undefined
  node: NonNullable<Value['producer']>
  root: Value
}

/**
 * GroupQueryAttention sees no key that comes after the query, even in rows where the model's mask hides all keys alike (padding on
 * the left): these rows, which nothing reads, come out differently. And with keys of earlier steps its kernels take either one
 * sequence or one token at a time. So it is chosen without being asked only where neither can happen; else keys and values are
 * repeated for MultiHeadAttention. The mask stays as it is, so that padding anywhere and windows hold. Rotations stay operators of
 * their own: the one inside counts positions by itself at the first step, whatever position ids say.
 */
const found = (name: string, exact: boolean, appended: boolean): Rule =>
  rule({
    name,
    doc: appended
      ? 'SDPA of keys and values that are appended to those of earlier steps -> GroupQueryAttention with past and present'
      : 'causal SDPA in which query heads share keys and values -> GroupQueryAttention',
    emits: ['com.microsoft:GroupQueryAttention'],
    lifts: appended,
    match: ({ oneOf, op, any, absent }) => {
      if (!appended) return oneOf(SDPA, any('query'), any('key'), any('value'), any('bias'), absent())
      const keys = op.Concat(any('pastKey'), any('newKey'), { axis: isLength }).as('key').replaced()
      const values = op.Concat(any('pastValue'), any('newValue'), { axis: isLength }).as('value').replaced()
      return oneOf(SDPA, any('query'), keys, values, any('bias'), absent())
    },
    check: (match) => {
      const given = match as unknown as Match & Partial<Past>
      const verdict = appended ? isAppended(given as Match & Past) : true
      return verdict === true ? fits(given, given.newKey ?? given.key, exact) : verdict
    },
    replace: (match) => attend(match as unknown as Match & Partial<Past>) as Replacement,
  })

export const groupQuery: Rule = found('group-query', true, false)
export const groupQueryPast: Rule = found('group-query-past', true, true)
/** Where the user asks for it. */
export const groupQueryAsked: Rule = found('group-query-attention', false, false)
export const groupQueryAskedPast: Rule = found('group-query-attention-past', false, true)

function fits(match: Match, newKey: Value, exact: boolean): true | Failure {
  const { query, key, value, bias, node } = match
  const [batch, heads, length, size] = query.shape!
  if (typeof heads !== 'number' || typeof key.shape?.[1] !== 'number')
    return no('has an unknown number of heads', query)
  if (key.shape[3] !== size || value.shape?.[3] !== size) return no('has values of another size than keys', value)
  if (!sameDim(newKey.shape?.[2], length)) return no('attends to another sequence', key)
  if (!bias || !hidesFuture(bias, length!, key.shape[2]!))
    return no('is not known to hide what comes later', bias ?? node)
  if (!exact) return true
  if (key.shape[1] === heads) return no('shares no heads', key)
  if (newKey !== key && batch !== 1 && length !== 1)
    return no('takes several tokens of several sequences after earlier ones', query)
  // Rows that see nothing are NaN both here and there, and guarded against.
  return (
    isFixed(bias) ||
    (!!node.int('guard') && isInfinite(node, bias)) ||
    no('has a mask that may hide all keys of a row: take GroupQueryAttention by name if it matters not', bias)
  )
}

function attend(match: Match & Partial<Past>): Record<string, Value> {
  const { query, key, value, bias, node, root, pastKey, pastValue, create } = match
  const [wide, k, v] = [query, match.newKey ?? key, match.newValue ?? value].map((operand) => {
    const stages = viewOf(operand)!
    return arrange(match, stages, flat(stages))
  })
  const scale = node.float('scale', 1)
  const [last, total] = lengthsOf(match, wide!)
  const [attention, presentKey, presentValue] = create({
    op: 'com.microsoft:GroupQueryAttention',
    inputs: [wide, k, v, pastKey, pastValue, last, total, null, null, null, wholeRows(match, bias, wide!, key)],
    attributes: {
      num_heads: query.shape![1] as number,
      kv_num_heads: key.shape![1] as number,
      scale: isDefault(scale, query.shape![3] as number) ? undefined : scale,
      softcap: node.float('softcap'),
    },
    outputs: pastKey ? 3 : 1,
  })
  attention!.type = tensorType(root.dtype, undefined)
  const isGuarded = node.int('guard') && bias && !isFixed(bias)
  const result = split(match, isGuarded ? guarded(match, attention!) : attention!, query, value)
  if (!pastKey) return { root: result }
  presentKey!.type = key.type
  presentValue!.type = value.type
  return { root: result, key: presentKey!, value: presentValue! }
}

/** Index of the last key for every sequence, [batch], and how many there are: all of them, as padding is masked. */
function lengthsOf(match: Match & Partial<Past>, wide: Value): [Value, Value] {
  const { op, constant, pastKey } = match
  const as = (size: number | Value): Value =>
    typeof size === 'number' ? constant(Tensor.int64([size]), 'length') : size
  const length = as(sizeAlong(match, wide, 1))
  const all = pastKey ? op.Add(as(sizeAlong(match, pastKey, 2)), length) : length
  const total = op.Cast(all, { to: codeOf('int32') })
  const last = op.Expand(op.Sub(total, 1), joined(match, [sizeAlong(match, wide, 0)]))
  return [last, op.Reshape(total, constant(Tensor.int64([], [0]), 'none'))]
}
