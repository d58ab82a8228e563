import { dtypeOf } from '../../onnx/dtypes.ts'
import { addDims, divideDims, floorDim, multiplyDims } from '../dims.ts'
import type { Dim } from '../types.ts'
import { CONTENT_LIMIT, type Operands } from './operands.ts'

/** The elements of what a node makes, where these are sizes: arithmetic on shapes. */
export class Contents {
  readonly #at: Operands

  constructor(operands: Operands) {
    this.#at = operands
  }

  /** All of them; undefined where not even their number is known. */
  all(): readonly Dim[] | undefined {
    const node = this.#at.node
    const first = this.#at.contentsOf(0)
    switch (node.opType) {
      case 'Shape': {
        const shape = this.#at.shapeOf(0)
        return shape?.slice(node.int('start', 0), node.int('end') ?? shape.length)
      }
      case 'Cast':
        return /^(u?int|bool|float|double)/.test(dtypeOf(node.int('to', 0)) ?? '') ? first : undefined
      case 'Identity':
      case 'Squeeze':
      case 'Unsqueeze':
      case 'Reshape':
        return first
      case 'Gather': {
        const [list, indices] = [this.#at.listOf(0), this.#at.integers(1, '')]
        return list && indices?.map((index) => list.at(index) ?? null)
      }
      case 'Concat': {
        const parts = node.inputs.map((_, i) => this.#at.listOf(i))
        return parts.every((part) => part !== undefined) ? parts.flat() : undefined
      }
      case 'Slice': {
        const [start, end, step] = [
          this.#at.integers(1, 'starts'),
          this.#at.integers(2, 'ends'),
          this.#at.integers(4, 'steps'),
        ]
        const list = this.#at.listOf(0)
        if (!list || start?.length !== 1 || end?.length !== 1 || (step && step[0] !== 1)) return undefined
        return list.slice(start[0], end[0])
      }
      case 'ConstantOfShape': {
        const count = first?.length === 1 ? first[0] : undefined
        const fill = node.tensor('value')?.scalar() ?? 0
        return typeof count === 'number' && count <= CONTENT_LIMIT
          ? Array.from({ length: count }, () => fill)
          : undefined
      }
      case 'Where': {
        const [choice, yes, no] = [0, 1, 2].map((i) => this.#at.listOf(i))
        if (!choice || !yes || !no) return undefined
        return zip(
          zip(choice, yes, (c, y) => (c === 0 ? 0 : (c && y) || null)),
          zip(choice, no, (c, n) => (c === 0 ? n : 0)),
          (a, b) => (a === 0 ? b : a),
        )
      }
      case 'Equal':
        return this.#combine((a, b) =>
          a === null || b === null
            ? null
            : a === b
              ? 1
              : (typeof a === typeof b && !(this.#at.isCertain && typeof a === 'string')) ||
                  isNegative(a) ||
                  isNegative(b)
                ? 0
                : null,
        )
      case 'Add':
        return this.#combine((a, b) => addDims(a, b))
      case 'Sub':
        return this.#combine((a, b) => addDims(a, b, -1))
      case 'Mul':
        return this.#combine((a, b) => multiplyDims([a, b]))
      case 'Div':
        return this.#combine((a, b) => {
          if (typeof b !== 'number') return divideDims([a], [b])
          if (typeof a === 'number' && b !== 0) return this.#quotient(a, b)
          return node.output().isFloat ? null : floorDim(a, b, (name) => this.#at.derived(name))
        })
      case 'Min':
        return this.#combine((a, b) => this.#least(a, b))
      case 'Max':
        return this.#combine((a, b) => {
          if (a === null || b === null) return null
          return typeof a === 'number' && typeof b === 'number'
            ? Math.max(a, b)
            : a === b
              ? a
              : this.#picked('Max', a, b)
        })
      case 'Mod':
        return this.#combine((a, b) => {
          // Below zero it depends on `fmod`.
          if (a === null || isNegative(a) || typeof b !== 'number' || b <= 0) return null
          return typeof a === 'number' ? a % b : this.#at.derived(`${a}%${b}`)
        })
      default:
        return undefined
    }
  }

  /** Sizes may pass through floats, for operators that take no integers. */
  #quotient(a: number, b: number): Dim {
    const exact = a / b
    return Number.isInteger(exact) || !this.#at.node.output().isFloat ? Math.trunc(exact) : null
  }

  /** A named size is taken to fit under a number, as in slices. */
  #least(a: Dim, b: Dim): Dim {
    if (typeof a === 'number' && typeof b === 'number') return Math.min(a, b)
    if (a === b) return a
    const [name, limit] = typeof a === 'string' ? [a, b] : [b, a]
    if (name === null || limit === null || limit === 1) return limit === 1 ? 1 : null
    return typeof limit === 'number' && !this.#at.isCertain ? name : this.#picked('Min', a!, b!)
  }

  #picked(how: 'Min' | 'Max', a: number | string, b: number | string): Dim {
    return this.#at.derived(`${how} ${[a, b].sort().join()}`)
  }

  #combine(merge: (a: Dim, b: Dim) => Dim): readonly Dim[] | undefined {
    const [a, b] = [this.#at.listOf(0), this.#at.listOf(1)]
    return a && b && zip(a, b, merge)
  }
}

const isNegative = (dim: Dim): boolean => typeof dim === 'number' && dim < 0

function zip(a: readonly Dim[], b: readonly Dim[], merge: (a: Dim, b: Dim) => Dim): readonly Dim[] | undefined
function zip(
  a: readonly Dim[] | undefined,
  b: readonly Dim[] | undefined,
  merge: (a: Dim, b: Dim) => Dim,
): readonly Dim[] | undefined
function zip(
  a: readonly Dim[] | undefined,
  b: readonly Dim[] | undefined,
  merge: (a: Dim, b: Dim) => Dim,
): readonly Dim[] | undefined {
  if (!a || !b || (a.length !== b.length && a.length !== 1 && b.length !== 1)) return undefined
  const at = (list: readonly Dim[], i: number): Dim => list[list.length === 1 ? 0 : i] ?? null
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => merge(at(a, i), at(b, i)))
}
