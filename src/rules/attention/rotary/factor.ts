import type { Node } from '../../../graph/node.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { constantOf, numberOf } from '../../../rewrite/index.ts'
import { numbersOf } from '../../weights.ts'
import { type Channel, sourceOf } from './channels.ts'

/** How many operators lie between an angle and what positions are multiplied with. */
const LENGTH = 24
const ELEMENTWISE = new Set(['Cos', 'Sin', 'Neg'])
/** What may stand between a cosine and its use. */
const PASSING = new Set(
  'Cast Identity Unsqueeze Squeeze Reshape Transpose Slice Split Concat Gather GatherElements Expand Tile Flatten'.split(
    ' ',
  ),
)

/** True for what queries and keys are multiplied with when they are rotated: cosines or sines, computed or from a table. */
export function isAngle(value: Value): boolean {
  let at: Value | undefined = value
  for (let i = 0; i < LENGTH && at; i++) {
    const tensor = constantOf(at)
    // A table, and no scale: it has positions too.
    if (tensor) return tensor.dims.filter((dim) => dim > 1).length > 1
    const node: Value['producer'] = at.producer
    if (node?.domain !== '') return false
    if (node.is('Cos') || node.is('Sin')) return true
    const scaled: Scaled | undefined = node.is('Mul') ? scaledBy(node) : undefined
    if (!scaled && !PASSING.has(node.opType)) return false
    at = scaled?.value ?? node.input(0)
  }
  return false
}

/**
 * What a channel of a factor is made of, as text: two channels with equal texts are equal at every position. Follows cosines of
 * angles that are written twice side by side, and columns of tables.
 */
export function identityOf(channel: Channel): string {
  const path: string[] = []
  let at = channel
  for (let i = 0; i < LENGTH; i++) {
    const node = at.value.producer
    const next = sourceOf(at, true)
    if (next) {
      if (node!.is('Slice') && !sourceOf(at)) path.push(at.value.name)
      at = next
    } else if (node?.domain === '' && ELEMENTWISE.has(node.opType)) {
      path.push(node.opType)
      at = { value: node.input(0)!, at: at.at }
    } else if (node && isRows(at)) {
      const indices = node.input(1)!
      path.push(node.is('Gather') ? indices.name : `(${identityOf({ value: indices, at: at.at })})`)
      at = { value: node.input(0)!, at: at.at }
    } else {
      const scaled = node?.is('Mul') ? scaledBy(node) : undefined
      if (!scaled) break
      path.push(`Mul ${scaled.number}`)
      at = { value: scaled.value, at: at.at }
    }
  }
  return [...path, `${at.value.name} ${columnOf(at)}`].join(' ')
}

interface Scaled {
  value: Value
  number: number
}

/** What a Mul multiplies with one number. */
function scaledBy(node: Node): Scaled | undefined {
  const [a, b] = [node.input(0)!, node.input(1)!]
  const [left, right] = [numberOf(a), numberOf(b)]
  if (right !== undefined) return { value: a, number: right }
  return left === undefined ? undefined : { value: b, number: left }
}

/** True where rows of a table are taken and the channels, one axis, stay as they are. */
function isRows({ value, at }: Channel): boolean {
  const node = value.producer!
  if (node.domain !== '' || !['Gather', 'GatherElements'].includes(node.opType)) return false
  const rank = node.input(0)?.rank ?? 0
  const axis = node.int('axis', 0)
  return at.length === 1 && (axis < 0 ? axis + rank : axis) < rank - 1
}

const firsts = new WeakMap<Tensor, number[]>()

/** The channel of a table that holds the same numbers and comes first, as text; the channel itself where there is no table. */
function columnOf({ value, at }: Channel): string {
  const tensor = at.length === 1 ? constantOf(value) : undefined
  if (!tensor || tensor.dims.length < 2) return at.join()
  const known = firsts.get(tensor) ?? firstColumns(tensor)
  firsts.set(tensor, known)
  return String(known[at[0]!])
}

/** For every column of a table the first that is equal: tables hold every column twice, beside it or half the width away. */
function firstColumns(tensor: Tensor): number[] {
  const width = tensor.dims.at(-1)!
  const numbers = numbersOf(tensor)
  const isEqual = (a: number, b: number): boolean => {
    for (let row = 0; row < numbers.length; row += width) if (numbers[row + a] !== numbers[row + b]) return false
    return true
  }
  return Array.from({ length: width }, (_, column) => {
    const candidates = [column - 1, column - width / 2]
    return candidates.find((one) => one >= 0 && Number.isInteger(one) && isEqual(one, column)) ?? column
  })
}
