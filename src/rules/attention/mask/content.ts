import type { Value } from '../../../graph/value.ts'
import { constantOf } from '../../../rewrite/index.ts'
import { type Axes, leavesOf } from '../axes/atoms.ts'
import { elementAt, type Unknown } from './element.ts'

/** Operators that hand on elements of their first input. */
const MOVING = new Set([
  'Slice',
  'Identity',
  'Cast',
  'Unsqueeze',
  'Squeeze',
  'Reshape',
  'Transpose',
  'Expand',
  'Gather',
])

/** True for truth values, and for numbers that are 0 or 1: constants that hold no others, and masks that the caller gives. */
export function isTruth(value: Value): boolean {
  if (value.dtype === 'bool' || /^u?int/.test(value.dtype ?? '')) return true
  let at: Value | undefined = value
  while (at && !constantOf(at) && MOVING.has(at.producer?.opType ?? '')) at = at.producer?.input(0)
  const tensor = constantOf(at)
  if (at && !tensor && at.isInput) return at.isFloat
  return tensor?.toNumbers().every((number) => number === 0 || number === 1) ?? false
}

/**
 * True where scores times `gate`, plus `sign` times `term`, are the scores where the gate is 1 and a large negative number where it
 * is 0: `x * mask - 10000 * (1 - mask)`.
 *
 * @param axes those of the scores
 */
export function isGatedMask(gate: Value, term: Value, sign: 1 | -1, axes: Axes): boolean {
  const found: Unknown[] = []
  const read = (value: Value, assumed: number): number | undefined => {
    const own = broadcastAxes(value, axes)
    return own && elementAt(value, own, (unknown) => (found.push(unknown), assumed))
  }
  const isGate = read(gate, 1) === 1 && read(gate, 0) === 0
  const hidden = read(term, 0)
  if (!isGate || read(term, 1) !== 0 || hidden === undefined || sign * hidden > -1e4) return false
  const [first] = found
  const places = (unknown: Unknown): string =>
    unknown.axes.map((axis) => leavesOf(axis).map((atom) => leavesOf(...axes).indexOf(atom))).join('|')
  return (
    first !== undefined &&
    isTruth(first.value) &&
    found.every((x) => x.value === first.value && places(x) === places(first))
  )
}

/** The axes that a value has which is broadcast to these. */
function broadcastAxes({ shape }: Value, axes: Axes): Axes | undefined {
  if (!shape || shape.length > axes.length) return undefined
  return axes.slice(axes.length - shape.length).map((axis, i) => (shape[i] === 1 ? [] : axis))
}
