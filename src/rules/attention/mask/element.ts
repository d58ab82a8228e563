import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { integersOf, numberOf, sameShape } from '../../../rewrite/index.ts'
import { type Axes, partition } from '../axes/atoms.ts'
import { atomsOf, LOGIC, positionOf, product, type Result, sum } from './position.ts'

/** An element that something else decides. */
export interface Unknown {
  value: Value
  axes: Axes
}

const DEPTH = 64

/**
 * The element of a value at symbolic coordinates: what a mask holds for any batch, row and key. Follows the arithmetic, comparisons
 * and shape plumbing that exporters write masks with, Gathers from flattened masks included.
 *
 * @param axes the coordinates: the pieces of each axis
 * @param decide gives the element of what is no arithmetic: inputs, results of other operators
 */
export function elementAt(
  value: Value,
  axes: Axes,
  decide: (unknown: Unknown) => number | undefined,
): number | undefined {
  const result = new Reader(decide).read(value, axes, DEPTH)
  return typeof result === 'number' ? result : undefined
}

class Reader {
  readonly #decide: (unknown: Unknown) => number | undefined

  constructor(decide: (unknown: Unknown) => number | undefined) {
    this.#decide = decide
  }

  read(value: Value, axes: Axes, depth: number): Result {
    const uniform = numberOf(value)
    if (uniform !== undefined) return uniform
    const node = value.producer
    const known = node && node.domain === '' && depth > 0 ? this.#follow(node, value, axes, depth - 1) : undefined
    return known ?? this.#decide({ value, axes })
  }

  #follow(node: Node, value: Value, axes: Axes, depth: number): Result {
    const first = node.input(0)
    switch (node.opType) {
      case 'Identity':
        return first && this.read(first, axes, depth)
      case 'Cast': {
        const inner = first && this.read(first, axes, depth)
        return value.dtype === 'bool' && typeof inner === 'number' ? Number(inner !== 0) : inner
      }
      case 'Not': {
        const inner = first && this.read(first, axes, depth)
        return typeof inner === 'number' ? Number(inner === 0) : undefined
      }
      case 'Reshape':
      case 'Squeeze':
      case 'Unsqueeze':
      case 'Flatten': {
        const inner = first?.shape && partition(axes.flat(), first.shape)
        return inner && this.read(first!, inner, depth)
      }
      case 'Transpose': {
        const perm = node.ints('perm') ?? axes.map((_, i) => axes.length - 1 - i)
        return (
          first &&
          this.read(
            first,
            axes.map((_, i) => axes[perm.indexOf(i)]!),
            depth,
          )
        )
      }
      case 'Expand':
        return this.#broadcast(first, axes, depth)
      case 'Slice':
        // One that takes everything, in its order.
        return first && sameShape(first.shape, value.shape) && !isBackwards(node)
          ? this.read(first, axes, depth)
          : undefined
      case 'ConstantOfShape':
        return node.tensor('value')?.scalar() ?? 0
      case 'Range':
        return numberOf(first) === 0 && numberOf(node.input(2)) === 1 ? positionOf(axes[0]!) : undefined
      case 'Shape':
        return undefined
      case 'Gather':
        return this.#gathered(node, axes, depth)
      case 'Where': {
        const condition = this.#broadcast(first, axes, depth)
        return typeof condition === 'number' ? this.#broadcast(node.input(condition ? 1 : 2), axes, depth) : undefined
      }
      default:
        return node.opType in LOGIC ? this.#combined(node, axes, depth) : undefined
    }
  }

  /** An input whose axes of size 1 stand for all coordinates. */
  #broadcast(value: Value | undefined, axes: Axes, depth: number): Result {
    const { shape } = value ?? {}
    if (!value || !shape || shape.length > axes.length) return undefined
    const own = axes.slice(axes.length - shape.length)
    return this.read(
      value,
      own.map((axis, i) => (shape[i] === 1 ? [] : axis)),
      depth,
    )
  }

  #combined(node: Node, axes: Axes, depth: number): Result {
    const [a, b] = [0, 1].map((i) => this.#broadcast(node.input(i), axes, depth))
    if (typeof a === 'number' && typeof b === 'number') return Number(LOGIC[node.opType]!(a, b))
    if (a === undefined || b === undefined) {
      // One side may decide alone.
      const known = typeof a === 'number' ? a : b
      if (node.is('And') && known === 0) return 0
      return node.is('Or') && typeof known === 'number' && known !== 0 ? 1 : undefined
    }
    if (node.is('GreaterOrEqual') && typeof a === 'object' && 'terms' in a && b === 0) return 1
    return node.is('Add') ? sum(a, b) : node.is('Mul') ? product(a, b) : undefined
  }

  #gathered(node: Node, axes: Axes, depth: number): Result {
    const [data, indices] = [node.input(0), node.input(1)]
    const shape = data?.producer?.is('Shape') ? data.producer.input(0)?.shape : undefined
    const at = integersOf(indices)
    if (shape && at?.length === 1 && !data!.producer!.attributes.size) {
      const dim = shape.at(at[0]!)
      return typeof dim === 'number' ? dim : dim === null || dim === undefined ? undefined : { dim }
    }
    const rank = indices?.rank
    const axis = node.int('axis', 0)
    if (!data?.shape || !indices || rank === undefined || axis < 0) return undefined
    const position = this.read(indices, axes.slice(axis, axis + rank), depth)
    const along = typeof position === 'object' && 'terms' in position ? atomsOf(position) : undefined
    return along && this.read(data, [...axes.slice(0, axis), along, ...axes.slice(axis + rank)], depth)
  }
}

function isBackwards(node: Node): boolean {
  return node.input(4) !== undefined && !integersOf(node.input(4))?.every((step) => step > 0)
}
