import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { type Failure, no } from '../../../rewrite/index.ts'
import { factorOf } from '../axes/view.ts'
import { isMaximum, uniformOf } from './numbers.ts'

/** What happens to the product of query and key on its way to the probabilities, first to last. */
export type Step =
  | { kind: 'scale'; factor: number }
  /** Each row times (or divided by) a number of its own. */
  | { kind: 'rows'; factor: Value; divides: boolean }
  /** Times a mask of 0 and 1, as part of `x * mask - 10000 * (1 - mask)`. */
  | { kind: 'gate'; gate: Value }
  | { kind: 'reshape'; to: Value }
  | { kind: 'add'; term: Value; sign: 1 | -1 }
  | { kind: 'tanh' }
  /** Scores below this number become it. */
  | { kind: 'floor'; number: number }
  /**
   * Where `condition` is (or is not) true the score is kept, elsewhere it becomes `fill`; with `isZeroed` what is hidden so gets no
   * weight even in rows where nothing else is.
   */
  | { kind: 'where'; condition: Value; keeps: boolean; fill: Value; isZeroed?: boolean }

export interface Path {
  /** The MatMul of query and transposed key. */
  product: Node
  steps: Step[]
  /** The product and what it becomes: values that go with the fusion. */
  values: Value[]
  /** What else reads them and goes too. */
  helpers: Node[]
}

/** How many operators may stand between the product and the probabilities. */
const LENGTH = 24

/**
 * Follows scores up to the product of query and key, through scalings, masks, casts and reshapes in any order.
 *
 * @param scores what Softmax reads
 */
export function pathOf(scores: Value): Path | Failure {
  const path = walk(scores, LENGTH)
  return path ?? no('is not made of a product of query and key', scores)
}

function walk(value: Value, length: number): Path | undefined {
  const node = value.producer
  if (node?.domain !== '' || length === 0 || value.rank === undefined || value.rank < 3) return undefined
  const up = (input: number, ...steps: Step[]): Path | undefined => {
    const source = node.input(input)
    const path = source && walk(source, length - 1)
    return path && { ...path, steps: [...path.steps, ...steps], values: [...path.values, value] }
  }
  switch (node.opType) {
    case 'MatMul':
      return { product: node, steps: [], values: [value], helpers: [] }
    case 'Identity':
    case 'Cast':
      return node.input(0)?.isFloat ? up(0) : undefined
    case 'Reshape':
    case 'Squeeze':
    case 'Unsqueeze':
      return up(0, { kind: 'reshape', to: value })
    case 'Mul':
    case 'Div': {
      const factor = factorOf(node)
      if (factor !== undefined) return up(0, { kind: 'scale', factor }) ?? up(1, { kind: 'scale', factor })
      const [a, b] = [node.input(0), node.input(1)]
      return a && b && (up(0, multiplied(node, b)) ?? (node.is('Mul') ? up(1, multiplied(node, a)) : undefined))
    }
    case 'Tanh':
      return up(0, { kind: 'tanh' })
    case 'Add':
      return added(node, up)
    case 'Sub': {
      const term = node.input(1)
      // The same number less in a whole row changes no probability: it keeps exponentials small.
      const maximum = term && isMaximum(term, node.input(0))
      const path = term && (maximum ? up(0) : up(0, { kind: 'add', term, sign: -1 }))
      return path && maximum ? { ...path, helpers: [...path.helpers, maximum] } : path
    }
    case 'Max':
    case 'Clip': {
      // What is masked twice may not fall to minus infinity.
      const number = floorOf(node)
      return number === undefined
        ? undefined
        : up(uniformOf(node.input(0)) === undefined ? 0 : 1, { kind: 'floor', number })
    }
    case 'Where': {
      const [condition, yes, other] = [node.input(0), node.input(1), node.input(2)]
      if (!condition || !yes || !other) return undefined
      return (
        up(2, { kind: 'where', condition, keeps: false, fill: yes }) ??
        up(1, { kind: 'where', condition, keeps: true, fill: other })
      )
    }
    default:
      return undefined
  }
}

/** The number below which a Max or Clip lets nothing fall, if no score is as low without a mask. */
function floorOf(node: Node): number | undefined {
  if (node.inputCount > 2 && (node.is('Max') || node.input(2))) return undefined
  const number = uniformOf(node.input(1)) ?? (node.is('Max') ? uniformOf(node.input(0)) : node.float('min', Number.NaN))
  return number !== undefined && number <= -1e4 ? number : undefined
}

function multiplied(node: Node, factor: Value): Step {
  const divides = node.is('Div')
  return factor.shape?.at(-1) === 1 || divides ? { kind: 'rows', factor, divides } : { kind: 'gate', gate: factor }
}

/** Of two terms the one that leads to a product is the score; where both do, the one that is a product of what is not constant. */
function added(node: Node, up: (input: number, ...steps: Step[]) => Path | undefined): Path | undefined {
  const [a, b] = [node.input(0), node.input(1)]
  if (!a || !b) return undefined
  const first = up(0, { kind: 'add', term: b, sign: 1 })
  const second = up(1, { kind: 'add', term: a, sign: 1 })
  if (!first || !second) return first ?? second
  return first.steps.length <= second.steps.length ? first : second
}
