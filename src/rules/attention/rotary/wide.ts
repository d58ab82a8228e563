import { tensorType } from '../../../graph/types.ts'
import { MICROSOFT, no, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange, planOf } from '../axes/arrange.ts'
import { viewOf } from '../axes/view.ts'
import { flat } from '../operators/multi-head.ts'

/** Attention takes [batch, length, hidden], which is how a projection leaves it: no heads need to go first for the rotation. */
export const rotaryWide: Rule = rule({
  name: 'rotary-embedding-wide',
  doc: 'RotaryEmbedding of heads that were put first -> RotaryEmbedding of [batch, length, hidden]',
  match: ({ oneOf, any, rest }) => oneOf(['RotaryEmbedding', `${MICROSOFT}:RotaryEmbedding`], any('x'), rest()),
  check: ({ x, root }) => {
    const stages = x.rank === 4 && root.rank === 4 ? viewOf(x) : undefined
    if (!stages || typeof x.shape![1] !== 'number') return no('has an unknown layout', x)
    return planOf(stages, flat(stages)).moves ? no('has its heads first', x) : { stages, heads: x.shape![1] }
  },
  replace: (match) => {
    const { create, node, stages, heads, root } = match
    const wide = flat(stages)
    const [rotated] = create({
      op: node.qualifiedType,
      inputs: [arrange(match, stages, wide), ...node.inputs.slice(1)],
      attributes: { ...Object.fromEntries(node.attributes), num_heads: heads },
    })
    const axes = stages.at(-1)!.axes
    const shape = root.shape!
    const hidden = typeof shape[3] === 'number' ? heads * shape[3] : null
    rotated!.type = tensorType(root.dtype, [shape[0]!, shape[2]!, hidden])
    return arrange(match, [{ value: rotated!, axes: wide, factor: 1 }], axes)
  },
})
