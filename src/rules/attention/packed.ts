import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { no, type Rule, rule } from '../../rewrite/index.ts'
import { CAPPED, flat, guarded, isCapped, isDefault, split, wholeRows } from './multi-head.ts'
import { maskInput } from './padding-mask.ts'
import { isPrivate, packedBias, packedWeights, projectionOf } from './projection.ts'
import { SDPA } from './sdpa.ts'
import { planOf, viewOf } from './view.ts'

/** Self-attention whose three projections have constant weights -> Attention, which does the projections too. */
export const packed: Rule = rule({
  name: 'packed-attention',
  doc: 'SDPA of three projections of one input -> Attention with the weights side by side',
  emits: ['com.microsoft:Attention'],
  match: ({ oneOf, any, ifGiven }) =>
    oneOf(SDPA, any('query'), any('key'), any('value'), ifGiven(any('bias')), ifGiven(any('mask'))),
  check: ({ query, key, value, node }) => {
    if (isCapped(node)) return no(CAPPED, node)
    if (query.shape?.[1] !== key.shape?.[1]) return no('has heads of keys that several of the query share', key)
    const parts = [query, key, value].map((operand) => {
      const source = sourceOf(operand)
      return source && projectionOf(source)
    })
    const [q, k, v] = parts
    if (!q || !k || !v)
      return no('is no projection with constant weights', [query, key, value][parts.findIndex((part) => !part)])
    if (q.input !== k.input || q.input !== v.input) return no('is projected from another input than the query', key)
    if (q.weight.dtype !== k.weight.dtype || q.weight.dtype !== v.weight.dtype)
      return no('has weights of another type', key)
    const open = [query, key, value].find((operand) => !isPrivate(operand))
    if (open) return no('is read by something else too', open)
    return { parts: [q, k, v] }
  },
  replace: (match) => {
    const { node, parts, bias, mask, constant, create, root } = match
    const { input } = parts[0]!
    const widths = parts.map(({ from, to }) => to - from)
    const headSize = match.query.shape![3] as number
    const scale = node.float('scale', 1)
    const [attention] = create({
      op: 'com.microsoft:Attention',
      inputs: [
        input,
        constant(packedWeights(parts), 'qkv_weight'),
        constant(packedBias(parts), 'qkv_bias'),
        maskInput(match, node, mask, true),
        null,
        wholeRows(match, bias, input, match.key, input),
      ],
      attributes: {
        num_heads: match.query.shape![1] as number,
        scale: isDefault(scale, headSize) ? undefined : scale,
        mask_filter_value: mask && node.float('mask_filter_value'),
        qkv_hidden_sizes: widths.every((width) => width === widths[0]) ? undefined : widths,
      },
    })
    attention!.type = tensorType(root.dtype, undefined)
    return split(match, node.int('guard') ? guarded(match, attention!) : attention!, match.query, match.value)
  },
})

/** [batch, length, hidden] that a [batch, heads, length, size] is only another view of. */
function sourceOf(operand: Value): Value | undefined {
  const stages = viewOf(operand)
  if (!stages) return undefined
  const { from, nodes } = planOf(stages, flat(stages))
  return nodes === 0 ? stages[from]!.value : undefined
}
