import type { Dim } from './types.ts'

/**
 * Arithmetic on dimensions. A dimension that is computed from named ones gets a name that says how (`(past + sequence)`, `4*batch`),
 * always the same for the same sum or product, so that equal dimensions have equal names.
 */

/** a + sign·b. */
export function addDims(a: Dim, b: Dim, sign: 1 | -1 = 1): Dim {
  if (a === null || b === null) return null
  const terms = linear(a)
  for (const [name, factor] of linear(b)) terms.set(name, (terms.get(name) ?? 0) + sign * factor)
  const number = terms.get('') ?? 0
  const names = [...terms].filter(([name, factor]) => name && factor).sort(([x], [y]) => (x < y ? -1 : 1))
  if (!names.length) return number
  if (number === 0 && names.length === 1 && names[0]![1] === 1) return names[0]![0]
  const parts = [
    ...names.map(([name, factor]) => (factor === 1 ? name : `${factor} ${name}`)),
    ...(number ? [`${number}`] : []),
  ]
  return `(${parts.join(' + ')})`
}

/** The number that a dimension is when names have these sizes. */
export function evaluateDim(dim: Dim, sizeOf: (name: string) => number): number | undefined {
  if (dim === null) return undefined
  let sum = 0
  for (const [term, factor] of linear(dim)) {
    const factors = term === '' ? [] : term.split('*')
    sum += factors.reduce((product, part) => product * (/^\d+$/.test(part) ? Number(part) : sizeOf(part)), factor)
  }
  return sum
}

/** A sum as factors by name; the number is under ''. */
function linear(dim: number | string): Map<string, number> {
  if (typeof dim === 'number') return new Map([['', dim]])
  if (!/^\(.* \+ .*\)$/.test(dim)) return new Map([[dim, 1]])
  return new Map(
    dim
      .slice(1, -1)
      .split(' + ')
      .map((part) => {
        const [, factor, name] = /^(-?\d+)(?: (.+))?$/.exec(part) ?? []
        return factor === undefined ? [part, 1] : [name ?? '', Number(factor)]
      }),
  )
}

/**
 * a divided by a number, rounded down. What can't be told gets a name: the same for the same quotient, however the sum is written
 * that is divided.
 *
 * @param nameOf gives the name of a quotient
 */
export function floorDim(a: Dim, divisor: number, nameOf: (quotient: string) => Dim): Dim {
  if (a === null || divisor <= 0) return null
  if (typeof a === 'number') return Math.floor(a / divisor)
  const exact = divideDims([a], [divisor])
  if (exact !== null) return exact
  const number = linear(a).get('') ?? 0
  const whole = Math.floor(number / divisor)
  const rest = addDims(a, whole * divisor, -1)
  return addDims(nameOf(`${rest}/${divisor}`), whole)
}

/** Product of dimensions. */
export function multiplyDims(dims: readonly Dim[]): Dim {
  const all = factorsOf(dims)
  if (!all) return null
  if (!all.names.length || all.number === 0) return all.number
  return all.number === 1 ? all.names.join('*') : `${all.number}*${all.names.join('*')}`
}

/** What is left of the product of `whole` after `parts`; null where names do not cancel out. */
export function divideDims(whole: readonly Dim[], parts: readonly Dim[]): Dim {
  const [top, bottom] = [factorsOf(whole), factorsOf(parts)]
  if (!top || !bottom || bottom.number === 0 || top.number % bottom.number) return null
  const names = [...top.names]
  for (const name of bottom.names) {
    const at = names.indexOf(name)
    if (at < 0) return null
    names.splice(at, 1)
  }
  return multiplyDims([top.number / bottom.number, ...names])
}

function factorsOf(dims: readonly Dim[]): { number: number; names: string[] } | undefined {
  let number = 1
  const names: string[] = []
  for (const dim of dims) {
    if (dim === null) return undefined
    if (typeof dim === 'number') number *= dim
    else
      for (const factor of dim.split('*')) {
        if (/^\d+$/.test(factor)) number *= Number(factor)
        else names.push(factor)
      }
  }
  return { number, names: names.sort() }
}

/** Broadcast of two shapes; a dimension that can't be told is null. */
export function broadcast(a: readonly Dim[], b: readonly Dim[]): readonly Dim[] {
  const rank = Math.max(a.length, b.length)
  const at = (shape: readonly Dim[], i: number): Dim => {
    const index = i - rank + shape.length
    return index < 0 ? 1 : (shape[index] ?? null)
  }
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [at(a, i), at(b, i)]
    if (x === y || y === 1) return x
    if (x === 1) return y
    return typeof x === 'number' ? x : typeof y === 'number' ? y : null
  })
}

/**
 * Length of a slice with step 1. A slice of a named size is taken to fit, as exporters have no others: with `isCertain` it is
 * unknown instead.
 */
export function sliceLength(size: Dim, start: Dim, end: Dim, isCertain = false): Dim {
  const isOpen = typeof end === 'number' && end >= 2 ** 31 - 1
  if (typeof size === 'number' && typeof start === 'number' && (typeof end === 'number' || isOpen)) {
    const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + size : at, 0), size)
    return Math.max(0, (isOpen ? size : clamp(end)) - clamp(start))
  }
  if (isCertain) return start === 0 && isOpen ? size : null
  if (typeof start === 'number' && start < 0 && typeof size !== 'number') return isOpen ? -start : null
  if (isOpen) return addDims(size, start, -1)
  if (typeof end === 'number' && end < 0) return addDims(addDims(size, end), start, -1)
  return typeof end === 'string' ? addDims(end, start, -1) : null
}
