import { tensorType } from '../../../graph/types.ts'
import { no, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange } from '../axes/arrange.ts'
import type { Atom } from '../axes/atoms.ts'
import { leavesOf } from '../axes/atoms.ts'
import { maskInput } from '../mask/padding.ts'
import { type InputAxes, projectionOf, readElsewhere } from '../projection/index.ts'
import { packedBias, packedWeights } from '../projection/packed-weights.ts'
import { SDPA } from '../sdpa/index.ts'
import { CAPPED, guarded, isCapped, isDefault, split, wholeRows } from './multi-head.ts'

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
    const known: InputAxes = new Map()
    const parts = [query, key, value].map((operand) => projectionOf(operand, known))
    const [q, k, v] = parts
    if (!q || !k || !v)
      return no('is no projection with constant weights', [query, key, value][parts.findIndex((part) => !part)])
    for (const [part, operand] of [
      [k, key],
      [v, value],
    ] as const) {
      if (part.input !== q.input) return no('is projected from another input than the query', operand)
      if (!isSame(part.batch, q.batch) || !isSame(part.length, q.length))
        return no('has other rows than the query', operand)
      if (part.weight.dtype !== q.weight.dtype) return no('has weights of another type', operand)
    }
    const open = readElsewhere([q, k, v], node)
    return open ? no('is read by something else too', open) : { parts: [q, k, v] }
  },
  replace: (match) => {
    const { node, parts, bias, mask, constant, create, root } = match
    const { input: stage, batch, length, width } = parts[0]!
    const input = arrange(match, [stage], [batch, length, width])
    const widths = parts.map(({ columns }) => columns.length)
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

function isSame(a: readonly Atom[], b: readonly Atom[]): boolean {
  const [x, y] = [leavesOf(a), leavesOf(b)]
  return x.length === y.length && x.every((atom, i) => atom === y[i])
}
