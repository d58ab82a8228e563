import { addDims, divideDims, multiplyDims } from '../../../graph/dims.ts'
import type { Dim } from '../../../graph/types.ts'
import { type Atom, leavesOf, sizeOf } from '../axes/atoms.ts'

/** A position: a sum of coordinates, each times a stride. */
export interface Position {
  terms: readonly { atom: Atom; stride: Dim }[]
}

/** A number, a position along axes, a size that only the running model knows, or nothing that is understood. */
export type Result = number | Position | { dim: Dim } | undefined

/** Arithmetic and comparisons on elements of masks. */
export const LOGIC: Readonly<Record<string, (a: number, b: number) => number | boolean>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  // Nothing hides as well as minus infinity does, not even times zero.
  Mul: (a, b) => (a === 0 || b === 0 ? 0 : a * b),
  Div: (a, b) => a / b,
  Min: Math.min,
  Max: Math.max,
  And: (a, b) => a !== 0 && b !== 0,
  Or: (a, b) => a !== 0 || b !== 0,
  Equal: (a, b) => a === b,
  Greater: (a, b) => a > b,
  GreaterOrEqual: (a, b) => a >= b,
  Less: (a, b) => a < b,
  LessOrEqual: (a, b) => a <= b,
}

/** Where something lies along axes made of these pieces. */
export function positionOf(atoms: readonly Atom[]): Position {
  const leaves = leavesOf(atoms)
  return { terms: leaves.map((atom, i) => ({ atom, stride: sizeOf(leaves.slice(i + 1)) })) }
}

export function sum(a: Exclude<Result, undefined>, b: Exclude<Result, undefined>): Result {
  if (a === 0) return b
  if (b === 0) return a
  if (typeof a === 'object' && typeof b === 'object' && 'terms' in a && 'terms' in b)
    return { terms: [...a.terms, ...b.terms] }
  const [x, y] = [dimOf(a), dimOf(b)]
  return x === undefined || y === undefined ? undefined : { dim: addDims(x, y) }
}

export function product(a: Exclude<Result, undefined>, b: Exclude<Result, undefined>): Result {
  const [x, y] = [dimOf(a), dimOf(b)]
  if (x !== undefined && y !== undefined) return { dim: multiplyDims([x, y]) }
  const [position, factor] = x === undefined ? [a, y] : [b, x]
  if (factor === undefined || typeof position !== 'object' || !('terms' in position)) return undefined
  return { terms: position.terms.map(({ atom, stride }) => ({ atom, stride: multiplyDims([stride, factor]) })) }
}

function dimOf(result: Exclude<Result, undefined>): Dim | undefined {
  return typeof result === 'number' ? result : 'dim' in result ? result.dim : undefined
}

/** The pieces of the axis that a position counts along: strides must be those of the pieces after. */
export function atomsOf({ terms }: Position): Atom[] | undefined {
  const rest = [...terms]
  const atoms: Atom[] = []
  while (rest.length) {
    const stride = sizeOf(atoms)
    const at = rest.findIndex((term) => term.stride === stride || divideDims([term.stride], [stride]) === 1)
    if (at < 0) return undefined
    atoms.unshift(rest.splice(at, 1)[0]!.atom)
  }
  return atoms
}
