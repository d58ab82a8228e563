import { no, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange } from '../axes/arrange.ts'
import { leavesOf } from '../axes/atoms.ts'
import { viewOf } from '../axes/view.ts'
import { type InputAxes, projectionOf, readElsewhere } from '../projection/index.ts'
import { packedWeights } from '../projection/packed-weights.ts'
import { SDPA } from '../sdpa/index.ts'
import { CAPPED, flat, guarded, isCapped, isDefault, split } from './multi-head.ts'

/** What only those targets have that take keys and values side by side too: ONNX Runtime for CUDA. */
const ALONG = 'com.microsoft:PackedMultiHeadAttention'

/** Cross attention as in denoisers: one product for keys and values, which lie side by side for each head. */
export const packedKeyValue: Rule = rule({
  name: 'packed-kv',
  doc: 'SDPA of a query, and of keys and values projected from one input -> one MatMul and MultiHeadAttention of packed keys and values',
  emits: ['com.microsoft:MultiHeadAttention'],
  match: ({ oneOf, any }) => oneOf(SDPA, any('query'), any('key'), any('value')),
  check: ({ query, key, value, node, can }) => {
    if (!can(ALONG)) return no('takes no packed keys and values on this target', node)
    if (isCapped(node)) return no(CAPPED, node)
    const known: InputAxes = new Map()
    const [k, v] = [projectionOf(key, known), projectionOf(value, known)]
    if (!k || !v) return no('is no projection with constant weights', k ? value : key)
    const isSame = (['batch', 'length'] as const).every((axis) => {
      const [own, other] = [leavesOf(k[axis]), leavesOf(v[axis])]
      return own.length === other.length && own.every((atom, i) => atom === other[i])
    })
    if (k.input !== v.input || !isSame) return no('is projected from another input than the key', value)
    if (projectionOf(query, known)?.input === k.input) return no('is attention of a value to itself', node)
    if (k.bias || v.bias) return no('has a bias', k.bias ? key : value)
    const heads = query.shape?.[1]
    if (typeof heads !== 'number' || k.columns.length !== v.columns.length || key.shape?.[1] !== heads)
      return no('has heads unlike those of the query', key)
    const open = readElsewhere([k, v], node)
    return open ? no('is read by something else too', open) : { k, v, heads }
  },
  replace: (match) => {
    const { op, constant, create, node, query, value, k, v, heads, root } = match
    const size = k.columns.length / heads
    const ofHead = ({ weight, bias, columns }: typeof k, head: number): typeof k => ({
      ...k,
      weight,
      bias,
      columns: columns.slice(head * size, (head + 1) * size),
    })
    const parts = Array.from({ length: heads }, (_, head) => [ofHead(k, head), ofHead(v, head)]).flat()
    const rows = arrange(match, [k.input], [k.batch, k.length, k.width])
    const both = op.Reshape(op.MatMul(rows, constant(packedWeights(parts), 'kv_weight')), [0, 0, heads, 2, size])
    const stages = viewOf(query)!
    const scale = node.float('scale', 1)
    const [attention] = create({
      op: 'com.microsoft:MultiHeadAttention',
      inputs: [arrange(match, stages, flat(stages)), both],
      attributes: { num_heads: heads, scale: isDefault(scale, size) ? undefined : scale },
    })
    attention!.type = root.type
    return split(match, node.int('guard') ? guarded(match, attention!) : attention!, query, value)
  },
})
