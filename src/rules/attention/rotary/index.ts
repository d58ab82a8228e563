import { tensorType } from '../../../graph/types.ts'
import { Failure, no, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange } from '../axes/arrange.ts'
import { leavesOf } from '../axes/atoms.ts'
import { viewOf } from '../axes/view.ts'
import { rotationOf } from './rotation.ts'
import { placeOf, positionsOf, tableOf } from './tables.ts'

const STANDARD = 'RotaryEmbedding'

/**
 * Cosines and sines stay where the model computes them or looks them up: their rows, one for each position of each sequence, are the
 * operator's table, and positions are 0, 1, 2, ... So no table grows the model or ends at some length, and whatever decides
 * the angles (position ids, padding on either side) holds. They are laid out once for all layers.
 */
const found = (name: string, anchors: readonly string[]): Rule =>
  rule({
    name,
    doc: 'x * cos + rotate(x) * sin, on all channels or the first ones -> RotaryEmbedding',
    emits: [STANDARD, 'com.microsoft:RotaryEmbedding'],
    match: ({ oneOf, rest }) => oneOf(anchors, rest()),
    check: ({ root, opset }) => {
      if (opset < 11) return no('is of an opset without Range', root)
      if (root.rank !== 4 || !root.isFloat) return no('has not the rank of a query or key', root)
      const rotation = rotationOf(root)
      if (rotation instanceof Failure) return rotation
      if (rotation.x.dtype !== root.dtype) return no('changes the element type', root)
      const place = placeOf(rotation)
      return place instanceof Failure ? place : { rotation, place }
    },
    replace: (match) => {
      const { create, emitted, rotation, place, root } = match
      const { x, width, interleaved, cos, sin } = rotation
      const shape = x.shape!
      const [heads, size] = [shape[place.heads], shape[3]!]
      if (typeof heads !== 'number') return no('has an unknown number of heads', x)
      const stages = viewOf(x)!
      const axes = stages.at(-1)!.axes.map((axis) => leavesOf(axis))
      const [batch, length] = [axes[0]!, axes[3 - place.heads]!]
      const wanted = [batch, length, [...axes[place.heads]!, ...axes[3]!]]
      const wide = arrange(match, stages, wanted)
      const [c, s] = [cos, sin].map((factor) => tableOf(match, factor, x, place))
      const positions = positionsOf(match, x, place, emitted !== STANDARD)
      const [rotated] = create({
        op: emitted,
        inputs: emitted === STANDARD ? [wide, c!, s!, positions] : [wide, positions, c!, s!],
        attributes: {
          interleaved: interleaved ? 1 : undefined,
          num_heads: heads,
          rotary_embedding_dim: width === size ? undefined : width,
        },
      })
      rotated!.type = tensorType(root.dtype, wide.shape!)
      return arrange(match, [{ value: rotated!, axes: wanted, factor: 1 }], axes)
    },
  })

/** Partial rotation ends in a Concat, whose first part would be taken for a whole one: it goes first. */
export const rotaryJoined: Rule = found('rotary-embedding', ['Concat', 'Reshape', 'Flatten'])
export const rotarySum: Rule = found('rotary-embedding-sum', ['Add', 'Sub'])
