import type { Value } from '../../../graph/value.ts'
import { type Failure, no } from '../../../rewrite/index.ts'
import { type Channel, sourceOf } from './channels.ts'
import { identityOf, isAngle } from './factor.ts'

/** Channels of a factor, one for each pair that is rotated. */
export interface Factor {
  value: Value
  channels: readonly number[]
}

/** Rotary positions: the first `width` channels of x are rotated in pairs, the rest stay as they are. */
export interface Rotation {
  x: Value
  width: number
  /** Pairs are neighbours, else half the width apart. */
  interleaved: boolean
  cos: Factor
  sin: Factor
}

/** A summand of an output channel: `factor` times a channel of the input, times an angle's cosine or sine. */
interface Term {
  factor: number
  /** Where the input's channel is on the way to it, nearest first. */
  path: readonly Channel[]
  angle?: Channel
}

const DEPTH = 24
const WIDEST = 1024

/**
 * Reads rotary positions channel by channel, however the halves are cut, negated and put together again: `x * cos + rotate(x) * sin`
 * with halves or neighbours as pairs, on all channels or the first ones.
 */
export function rotationOf(root: Value): Rotation | Failure {
  const size = root.shape?.at(-1)
  if (typeof size !== 'number' || size > WIDEST) return no('has an unknown number of channels', root)
  const first = termsOf({ value: root, at: [0] }, DEPTH)
  if (first?.length !== 2 || !first.every(({ angle }) => angle)) return no('is no sum of two rotated parts', root)
  const channels = Array.from({ length: size }, (_, i) => termsOf({ value: root, at: [i] }, DEPTH))
  const width = channels.findIndex((terms) => terms?.length !== 2)
  const rotated = channels.slice(0, width < 0 ? size : width) as Term[][]
  const kept = channels.slice(rotated.length)
  const x = commonInput(root, [...rotated, ...kept.map((terms) => terms ?? [])].flat())
  if (!x) return no('is not made of one input', root)
  const indexOf = ({ path }: Term): number => path.find(({ value }) => value === x)!.at[0]!
  const isKept = (terms: Term[] | undefined, i: number): boolean =>
    terms?.length === 1 && !terms[0]!.angle && terms[0]!.factor === 1 && indexOf(terms[0]!) === rotated.length + i
  if (!kept.every(isKept)) return no('changes channels that are not rotated', root)
  return pairsOf(root, x, rotated, indexOf)
}

function pairsOf(root: Value, x: Value, rotated: Term[][], indexOf: (term: Term) => number): Rotation | Failure {
  const width = rotated.length
  const half = width / 2
  const interleaved = width > 2 && rotated[0]!.some((term) => indexOf(term) === 1)
  const pairs = Array.from({ length: Math.floor(half) }, (_, i) => (interleaved ? [2 * i, 2 * i + 1] : [i, i + half]))
  const angles: [Channel, Channel][] = []
  for (const [a, b] of pairs) {
    const [ownA, otherA, ownB, otherB] = [
      [a!, a!],
      [a!, b!],
      [b!, b!],
      [b!, a!],
    ].map(([output, input]) => rotated[output!]!.find((term) => indexOf(term) === input))
    if (!ownA?.angle || !otherA?.angle || !ownB?.angle || !otherB?.angle)
      return no('pairs channels in another way', root)
    if (ownA.factor !== 1 || ownB.factor !== 1 || otherA.factor !== -1 || otherB.factor !== 1)
      return no('rotates in another direction or with a factor', root)
    const isSame = (one: Channel, other: Channel): boolean => identityOf(one) === identityOf(other)
    if (!isSame(ownA.angle, ownB.angle) || !isSame(otherA.angle, otherB.angle))
      return no('turns the two channels of a pair by different angles', root)
    angles.push([ownA.angle, otherA.angle])
  }
  const [cos, sin] = [0, 1].map((which) => factorOf(angles.map((pair) => pair[which as 0 | 1])))
  if (width % 2 || !cos || !sin) return no('takes its angles from more than one value', root)
  return { x, width, interleaved, cos, sin }
}

function factorOf(channels: readonly Channel[]): Factor | undefined {
  const value = channels[0]?.value
  const isOne = channels.every((channel) => channel.value === value && channel.at.length === 1)
  return value && isOne ? { value, channels: channels.map(({ at }) => at[0]!) } : undefined
}

/** The nearest value that every term reads a channel of. */
function commonInput(root: Value, terms: readonly Term[]): Value | undefined {
  const size = root.shape!.at(-1)
  return terms[0]?.path.find(
    ({ value }) =>
      value !== root &&
      value.rank === root.rank &&
      value.shape!.at(-1) === size &&
      terms.every(({ path }) => path.some((channel) => channel.value === value && channel.at.length === 1)),
  )?.value
}

/** The summands of a channel; undefined where they are too many to be a rotation. */
function termsOf(channel: Channel, depth: number): Term[] | undefined {
  const { value, at } = channel
  const node = value.producer
  const base: Term[] = [{ factor: 1, path: [channel] }]
  if (node?.domain !== '' || depth === 0) return base
  const [a, b] = [node.input(0), node.input(1)]
  const follow = (input: Value): Term[] | undefined => termsOf({ value: input, at }, depth - 1)
  const times = (terms: Term[] | undefined, factor: number): Term[] | undefined =>
    terms?.map((term) => ({ ...term, factor: term.factor * factor }))
  switch (node.opType) {
    case 'Add':
    case 'Sub': {
      if (a?.rank !== value.rank || b?.rank !== value.rank) return base
      const [left, right] = [follow(a!), times(follow(b!), node.is('Sub') ? -1 : 1)]
      if (left?.length !== 1 || right?.length !== 1) return undefined
      return left[0]!.angle || right[0]!.angle ? [...left, ...right] : base
    }
    case 'Neg':
      return times(follow(a!), -1)
    case 'Mul': {
      const [x, angle] = isAngle(b!) ? [a!, b!] : [b!, a!]
      if (!isAngle(angle) || isAngle(x) || x.rank !== value.rank) return base
      const own = angle.shape?.slice(-at.length)
      const terms = own?.length === at.length ? follow(x) : undefined
      if (terms?.length !== 1 || terms[0]!.angle) return undefined
      return [{ ...terms[0]!, angle: { value: angle, at: at.map((index, i) => (own![i] === 1 ? 0 : index)) } }]
    }
    default: {
      const source = sourceOf(channel)
      const terms = source && termsOf(source, depth - 1)
      return source ? terms?.map((term) => ({ ...term, path: [channel, ...term.path] })) : base
    }
  }
}
