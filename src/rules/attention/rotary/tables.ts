import { Tensor } from '../../../graph/tensor.ts'
import { type Dim, tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Build, Failure, no, sameDim } from '../../../rewrite/index.ts'
import { arrange, joined, sizeAlong } from '../axes/arrange.ts'
import { type Axes, leavesOf } from '../axes/atoms.ts'
import { viewOf } from '../axes/view.ts'
import { placeOf as inputAxisOf } from '../prepare/sizes.ts'
import type { Factor, Rotation } from './rotation.ts'

/** How angles lie beside x [batch, ?, ?, size]. */
export interface Place {
  /** Which axis of x are heads. */
  heads: 1 | 2
  /**
   * `own`: one for each position of each sequence; `shared`: one for each position, for all sequences; `open`: what the running
   * model knows.
   */
  kind: 'own' | 'shared' | 'open'
}

export function placeOf({ x, cos, sin }: Rotation): Place | Failure {
  const places = [cos, sin].map(({ value }) => placeOfFactor(value, x))
  const bad = places.find((place) => place instanceof Failure)
  if (bad) return bad
  const [first, second] = places as Place[]
  const isSame = first!.heads === second!.heads && first!.kind === second!.kind
  return isSame ? first! : no('has cosines and sines of different shapes', x)
}

function placeOfFactor(value: Value, x: Value): Place | Failure {
  const [own, shape] = [value.shape, x.shape!]
  if (value.dtype !== x.dtype) return no(`is of ${value.dtype}, but what it rotates of ${x.dtype}`, value)
  if (!own || own.length > 4 || own.length < 2) return no('has an unknown rank', value)
  const dims = padded(own)
  const find = (isLike: (a: Dim, b: Dim) => boolean): 1 | 2 | undefined =>
    ([1, 2] as const).find((axis) => dims[axis] === 1 && isLike(dims[3 - axis]!, shape[3 - axis]!))
  const heads = find(sameDim) ?? find(mayBeSame)
  if (!heads) return no(`has [${own}], not an angle for each position of [${shape}]`, value)
  if (dims[0] !== 1 && !sameDim(dims[0], shape[0]) && !mayBeSame(dims[0]!, shape[0]!))
    return no(`has another batch than [${shape}]`, value)
  if (!sameDim(dims[3 - heads], shape[3 - heads])) return { heads, kind: 'open' }
  return { heads, kind: dims[0] === 1 ? 'shared' : sameDim(dims[0], shape[0]) ? 'own' : 'open' }
}

/** Names that differ may stand for one size; and one of them for 1, which stands for all. */
const mayBeSame = (a: Dim, b: Dim): boolean => a !== 1 && (typeof a !== 'number' || typeof b !== 'number')

const padded = (shape: readonly Dim[]): Dim[] => [...Array.from({ length: 4 - shape.length }, () => 1), ...shape]

/** The rows of a factor, one number per pair: [positions, width / 2]. */
export function tableOf(build: Build, { value, channels }: Factor, x: Value, { heads, kind }: Place): Value {
  const { op } = build
  const stages = viewOf(value)!
  const axes = stages.at(-1)!.axes.map((axis) => leavesOf(axis))
  const [batch, length] = [axes.at(-4) ?? [], axes.at(-1 - heads) ?? []]
  const last = axes.at(-1)!
  const wanted: Axes = kind === 'open' ? [batch, length, last] : [[...batch, ...length], last]
  const rows = picked(build, arrange(build, stages, wanted), channels)
  if (kind !== 'open') return rows
  const wide = op.Expand(rows, joined(build, [...sizesOf(build, x, heads), 1]))
  return op.Reshape(wide, [-1, channels.length])
}

/** One channel of each pair. */
function picked(build: Build, rows: Value, channels: readonly number[]): Value {
  const [first, last] = [channels[0]!, channels.at(-1)!]
  const step = channels.length > 1 ? channels[1]! - first : 1
  const isRange = step > 0 && channels.every((channel, i) => channel === first + i * step)
  const { shape } = rows
  let table = rows
  if (!isRange) table = build.op.Gather(rows, build.constant(Tensor.int64(channels)), { axis: -1 })
  else if (shape!.at(-1) !== channels.length) table = build.op.Slice(rows, [first], [last + 1], [-1], [step])
  table.type = tensorType(rows.dtype, [...shape!.slice(0, -1), channels.length])
  return table
}

/**
 * Positions [batch, length]: 0, 1, 2, ... for every row of the tables. Where all sequences share them they count from 0 in each,
 * for which the operator of `com.microsoft` (`takesFirst`) takes the first position alone.
 */
export function positionsOf(build: Build, x: Value, { heads, kind }: Place, takesFirst: boolean): Value {
  const { op, constant } = build
  if (kind === 'shared' && takesFirst) return constant(Tensor.int64([0]), 'position')
  const sizes = joined(build, sizesOf(build, x, heads))
  const end =
    kind === 'shared'
      ? op.Gather(sizes, constant(Tensor.int64([1], []), 'length'))
      : op.ReduceProd(sizes, { keepdims: 0 })
  const counted = op.Range(constant(Tensor.int64([0], []), 'zero'), end, constant(Tensor.int64([1], []), 'one'))
  return kind === 'shared' ? op.Expand(counted, sizes) : op.Reshape(counted, sizes)
}

/** Batch and length of x, of inputs of the graph where they have them: all layers share these. */
function sizesOf(build: Build, x: Value, heads: 1 | 2): (number | Value)[] {
  return [0, 3 - heads].map((axis) => {
    const dim = x.shape![axis]
    const input = typeof dim === 'string' ? inputAxisOf(x, dim) : undefined
    return input ? sizeAlong(build, input.value, input.axis) : sizeAlong(build, x, axis)
  })
}
