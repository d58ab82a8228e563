import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { integersOf, numberOf } from '../../../rewrite/index.ts'

/** How deep an expression may be. */
const DEPTH = 24

const UNARY: Readonly<Record<string, (x: number) => number>> = {
  Sqrt: Math.sqrt,
  Reciprocal: (x) => 1 / x,
  Neg: (x) => -x,
}
const BINARY: Readonly<Record<string, (x: number, y: number) => number>> = {
  Add: (x, y) => x + y,
  Sub: (x, y) => x - y,
  Mul: (x, y) => x * y,
  Div: (x, y) => x / y,
  Pow: (x, y) => x ** y,
}
/** Operators that hand on their first input's elements, all or some. */
const SAME = new Set(['Identity', 'Cast', 'Reshape', 'Squeeze', 'Unsqueeze', 'Expand', 'Tile', 'Transpose'])

/**
 * The number that every element of a value is, where it follows from constants and from sizes that are known:
 * `1 / Sqrt(Cast(Gather(Shape(q), 3)))`, a ConstantOfShape, zeros times something constant. Undefined otherwise.
 */
export function uniformOf(value: Value | undefined, depth: number = DEPTH): number | undefined {
  const constant = numberOf(value)
  const node = value?.producer
  if (constant !== undefined || !node || node.domain !== '' || depth === 0) return constant
  const input = (index: number): number | undefined => uniformOf(node.input(index), depth - 1)
  const { opType } = node
  if (SAME.has(opType)) return input(0)
  if (opType === 'ConstantOfShape') {
    const fill = node.tensor('value')
    return fill ? fill.scalar() : 0
  }
  if (opType === 'Gather' || opType === 'Slice') return sizeFrom(node)
  const [one, two] = [UNARY[opType], BINARY[opType]]
  if (one) {
    const x = input(0)
    return x === undefined ? undefined : one(x)
  }
  if (!two) return undefined
  const [x, y] = [input(0), input(1)]
  const isInteger = /int/.test(value.dtype ?? '')
  if (x === undefined || y === undefined) return undefined
  return isInteger ? Math.trunc(two(x, y)) : two(x, y)
}

/** A size of a value that a Gather or Slice takes out of its Shape. */
function sizeFrom(node: Node): number | undefined {
  const shape = node.input(0)?.producer
  const dims = shape?.is('Shape') ? shape.input(0)?.shape : undefined
  if (!shape || !dims) return undefined
  const sizes = dims.slice(shape.int('start', 0), shape.int('end') ?? dims.length)
  const index = node.is('Gather') ? integersOf(node.input(1)) : (integersOf(node.input(1)) ?? node.ints('starts'))
  if (index?.length !== 1) return undefined
  if (node.is('Slice')) {
    const end = integersOf(node.input(2)) ?? node.ints('ends')
    if (end?.length !== 1 || sizes.slice(index[0]!, end[0]!).length !== 1) return undefined
  }
  const size = sizes.at(index[0]!)
  return typeof size === 'number' ? size : undefined
}

/** The ReduceMax that makes a value the largest of each row of another, with the last axis kept as 1. */
export function isMaximum(value: Value, of: Value | undefined): Node | undefined {
  if (!of || value.shape?.at(-1) !== 1 || value.rank !== of.rank) return undefined
  let node = value.producer
  while (node && ['Unsqueeze', 'Reshape', 'Identity'].includes(node.opType)) node = node.input(0)?.producer
  if (!node?.is('ReduceMax') || node.input(0) !== of) return undefined
  const axes = node.ints('axes') ?? integersOf(node.input(1))
  return axes?.length === 1 && (axes[0] === -1 || axes[0] === of.rank! - 1) ? node : undefined
}
