import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Build, no, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange, joined, planOf, sizeAlong } from '../axes/arrange.ts'
import type { Axes } from '../axes/atoms.ts'
import { type Stage, viewOf } from '../axes/view.ts'
import { maskInput } from '../mask/padding.ts'
import { unpacked } from '../projection/unpacked.ts'
import { SDPA } from '../sdpa/index.ts'
import { spread } from './shared-heads.ts'

/** SDPA -> MultiHeadAttention on [batch, length, hidden]; keys and values stay [B, N, T, h] where only moving elements would help. */
export const multiHead: Rule = rule({
  name: 'multi-head-attention',
  doc: 'SDPA -> MultiHeadAttention',
  emits: ['com.microsoft:MultiHeadAttention'],
  match: ({ oneOf, any, ifGiven }) =>
    oneOf(SDPA, any('query'), any('key'), any('value'), ifGiven(any('bias')), ifGiven(any('mask'))),
  check: ({ node }) => !isCapped(node) || no(CAPPED, node),
  replace: (match) => {
    const { query, bias, mask, node, create } = match
    const [key, value] = [spread(match, query, match.key), spread(match, query, match.value)]
    const scale = node.float('scale', 1)
    const [numHeads, headSize] = [query.shape?.[1], query.shape?.[3]]
    if (typeof numHeads !== 'number' || typeof headSize !== 'number') return no('has an unknown shape', query)
    const operands = [query, key, value]
    const own = unpacked(match, operands, node)
    const [q, k, v] = operands.map((operand) => viewOf(operand)!)
    const isReady = (stages: Stage[], at: number): boolean =>
      own[at] !== undefined || !planOf(stages, flat(stages)).moves
    const isFlat = (isReady(k!, 1) && isReady(v!, 2)) || value.shape?.[3] !== headSize
    const lay = (stages: Stage[], at: number): Value => own[at] ?? arrange(match, stages, flat(stages))
    const wide = lay(q!, 0)
    const [attention] = create({
      op: 'com.microsoft:MultiHeadAttention',
      inputs: [
        wide,
        isFlat ? lay(k!, 1) : key,
        isFlat ? lay(v!, 2) : value,
        null,
        maskInput(match, node, mask),
        wholeRows(match, bias, wide, key),
      ],
      attributes: {
        num_heads: numHeads,
        scale: isDefault(scale, headSize) ? undefined : scale,
        mask_filter_value: mask && node.float('mask_filter_value'),
      },
    })
    attention!.type = tensorType(match.root.dtype, undefined)
    return split(match, node.int('guard') ? guarded(match, attention!) : attention!, query, value)
  },
})

/** Scores that are bounded: only the standard Attention and GroupQueryAttention do that. */
export const CAPPED =
  'bounds its scores (softcap), which takes the Attention of opset 23, or GroupQueryAttention by name'
export function isCapped(attention: Node): boolean {
  return attention.attributes.has('softcap')
}

/** [batch, length, heads and size] of a value that is [batch, heads, length, size]. */
export function flat(stages: readonly Stage[]): Axes {
  const [batch, heads, length, size] = stages.at(-1)!.axes
  return [batch!, length!, [...heads!, ...size!]]
}

/** Attention's own layout [batch, length, hidden] as the SDPA's [batch, heads, length, size]. */
export function split(build: Build, attention: Value, query: Value, value: Value): Value {
  const [batch, heads, length] = query.shape!
  const size = value.shape![3]
  const { dtype } = query
  const hidden = typeof heads === 'number' && typeof size === 'number' ? heads * size : null
  attention.type = tensorType(dtype, [batch!, length!, hidden])
  const parted = build.op.Reshape(attention, [0, 0, heads as number, size as number])
  parted.type = tensorType(dtype, [batch!, length!, heads!, size!])
  const result = build.op.Transpose(parted, { perm: [0, 2, 1, 3] })
  result.type = tensorType(dtype, [batch!, heads!, length!, size!])
  return result
}

/** Rows without any key: the runtime gives NaN, the model wants zeros. */
export function guarded(build: Build, attention: Value): Value {
  const zero = build.constant(Tensor.from(attention.dtype ?? 'float32', [], [0]), 'zero')
  return build.op.Where(build.op.IsNaN(attention), zero, attention)
}

/**
 * The operators take masks [., ., S, T] without broadcasting along rows and keys.
 *
 * @param query [batch, length, hidden], for its length
 * @param key [batch, heads, length, size], for its length, or what has the same length on axis 1
 */
export function wholeRows(
  build: Build,
  bias: Value | undefined,
  query: Value,
  key: Value,
  total: Value = key,
): Value | undefined {
  if (!bias) return undefined
  const rows = query.shape?.[1]
  const isWhole = rows !== null && rows !== undefined && bias.shape?.[2] === rows
  const isWide = bias.shape?.[3] !== 1
  if (isWhole && isWide) return bias
  const columns = isWide ? 1 : sizeAlong(build, total, total === key ? 2 : 1)
  const sizes = [1, 1, isWhole ? 1 : sizeAlong(build, query, 1), columns]
  return build.op.Expand(bias, joined(build, sizes))
}

/** Whether a scale is the one that attention operators take by themselves. */
export function isDefault(scale: number, headSize: number): boolean {
  return Math.abs(scale * Math.sqrt(headSize) - 1) < 1e-6
}
