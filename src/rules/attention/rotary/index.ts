import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Build, Failure, no, type Rule, rule, sameDim } from '../../../rewrite/index.ts'
import { arrange } from '../arrange.ts'
import { leavesOf } from '../atoms.ts'
import { viewOf } from '../view.ts'
import { type Factor, type Rotation, rotationOf } from './rotation.ts'

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
      const [c, s] = [cos, sin].map((factor) => tableOf(match, factor, width / 2))
      const positions = positionsOf(match, emitted, place.source, place)
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

/** Which axis of x [batch, ?, ?, size] are heads, and whether every sequence of a batch has its own angles. */
interface Place {
  heads: 1 | 2
  isShared: boolean
  /** What has the sizes of batch and length on these axes: the cosines where they have them, which all layers share. */
  source: Value
}

function placeOf({ x, cos, sin }: Rotation): Place | Failure {
  const shape = x.shape!
  const places = [cos, sin].map(({ value }): Place | Failure => {
    const own = value.shape
    if (value.dtype !== x.dtype) return no(`is of ${value.dtype}, but what it rotates of ${x.dtype}`, value)
    if (!own || own.length > 4 || own.length < 2) return no('has an unknown rank', value)
    const dims = [...Array.from({ length: 4 - own.length }, () => 1), ...own]
    const heads = ([1, 2] as const).find((axis) => dims[axis] === 1 && sameDim(dims[3 - axis], shape[3 - axis]))
    if (!heads) return no(`has [${own}], not an angle for each position of [${shape}]`, value)
    if (dims[0] !== 1 && !sameDim(dims[0], shape[0])) return no(`has another batch than [${shape}]`, value)
    return { heads, isShared: dims[0] === 1, source: own.length === 4 && dims[0] !== 1 ? value : x }
  })
  const bad = places.find((place) => place instanceof Failure)
  if (bad) return bad
  const [first, second] = places as Place[]
  const isSame = first!.heads === second!.heads && first!.isShared === second!.isShared
  return isSame ? first! : no('has cosines and sines of different shapes', x)
}

/** The rows of a factor, one number per pair: [batch * length, width / 2]. */
function tableOf(build: Build, { value, channels }: Factor, half: number): Value {
  const { op } = build
  const stages = viewOf(value)!
  const axes = stages.at(-1)!.axes.map((axis) => leavesOf(axis))
  const rows = arrange(build, stages, [axes.slice(0, -1).flat(), axes.at(-1)!])
  const [first, last] = [channels[0]!, channels.at(-1)!]
  const step = half > 1 ? channels[1]! - first : 1
  const isRange = step > 0 && channels.every((channel, i) => channel === first + i * step)
  let table = rows
  if (!isRange) table = op.Gather(rows, build.constant(Tensor.int64(channels)), { axis: -1 })
  else if (value.shape!.at(-1) !== half) table = op.Slice(rows, [first], [last + 1], [-1], [step])
  table.type = tensorType(value.dtype, [rows.shape![0]!, half])
  return table
}

/**
 * Positions [batch, length]: 0, 1, 2, ... for every row of the tables. Where all sequences share them they count from 0 in each,
 * for which the operator of `com.microsoft` takes the first position alone.
 */
function positionsOf(build: Build, op: string, x: Value, { heads, isShared }: Place): Value {
  const { constant } = build
  if (isShared && op !== STANDARD) return constant(Tensor.int64([0]), 'position')
  const sizes = build.op.Gather(build.op.Shape(x), [0, 3 - heads])
  const end = isShared
    ? build.op.Gather(sizes, constant(Tensor.int64([1], []), 'length'))
    : build.op.ReduceProd(sizes, { keepdims: 0 })
  const counted = build.op.Range(constant(Tensor.int64([0], []), 'zero'), end, constant(Tensor.int64([1], []), 'one'))
  return isShared ? build.op.Expand(counted, sizes) : build.op.Reshape(counted, sizes)
}
