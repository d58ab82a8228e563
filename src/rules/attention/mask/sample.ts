import { evaluateDim } from '../../../graph/dims.ts'
import type { Node } from '../../../graph/node.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Dim } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { constantOf } from '../../../rewrite/index.ts'
import { LOGIC } from './position.ts'

const DEPTH = 64
/** Constants with more elements are not read. */
const LARGEST = 1 << 22

/**
 * Elements of masks at numbered places, for sizes that are chosen: what arithmetic, comparisons and shape plumbing make of them.
 * What else decides (inputs, other operators) is taken to be `open` where it is a whole number or a truth value.
 */
export class Sample {
  readonly #sizeOf: (name: string) => number
  readonly #open: number
  readonly #numbers = new Map<Tensor, number[]>()

  constructor(sizeOf: (name: string) => number, open: number) {
    this.#sizeOf = sizeOf
    this.#open = open
  }

  size(dim: Dim | undefined): number | undefined {
    return dim === undefined ? undefined : evaluateDim(dim, this.#sizeOf)
  }

  at(value: Value | undefined, index: readonly number[], depth: number = DEPTH): number | undefined {
    if (!value || depth === 0) return undefined
    const tensor = constantOf(value)
    if (tensor) return this.#element(tensor, index)
    const node = value.producer
    const known = node?.domain === '' ? this.#follow(node, value, index, depth - 1) : undefined
    return known ?? (/^(bool|u?int)/.test(value.dtype ?? '') ? this.#open : undefined)
  }

  #element(tensor: Tensor, index: readonly number[]): number | undefined {
    if (tensor.elementCount > LARGEST) return undefined
    const numbers = this.#numbers.get(tensor) ?? tensor.toNumbers()
    this.#numbers.set(tensor, numbers)
    return numbers[tensor.dims.reduce((flat, dim, i) => flat * dim + index[i]!, 0)]
  }

  #follow(node: Node, value: Value, index: readonly number[], depth: number): number | undefined {
    const read = (input: number, at: readonly number[]): number | undefined => this.at(node.input(input), at, depth)
    const aligned = (input: number): number | undefined => read(input, this.#broadcast(node.input(input), index))
    const first = node.input(0)
    switch (node.opType) {
      case 'Identity':
      case 'Cast': {
        const inner = read(0, index)
        return value.dtype === 'bool' && inner !== undefined ? Number(inner !== 0) : inner
      }
      case 'Not': {
        const inner = read(0, index)
        return inner === undefined ? undefined : Number(inner === 0)
      }
      case 'Neg': {
        const inner = read(0, index)
        return inner === undefined ? undefined : -inner
      }
      case 'Reshape':
      case 'Squeeze':
      case 'Unsqueeze':
      case 'Flatten': {
        const at = this.#reshaped(first, value, index)
        return at && read(0, at)
      }
      case 'Transpose': {
        const perm = node.ints('perm') ?? index.map((_, i) => index.length - 1 - i)
        return read(
          0,
          index.map((_, axis) => index[perm.indexOf(axis)]!),
        )
      }
      case 'Expand':
        return aligned(0)
      case 'Where': {
        const condition = aligned(0)
        return condition === undefined ? undefined : aligned(condition ? 1 : 2)
      }
      case 'Slice':
        return this.#sliced(node, index, depth)
      case 'Concat':
        return this.#concatenated(node, index, depth)
      case 'Gather': {
        const [axis, rank] = [node.int('axis', 0), node.input(1)?.rank ?? 0]
        const own = axis < 0 ? axis + (first?.rank ?? 0) : axis
        const row = read(1, index.slice(own, own + rank))
        const size = this.size(first?.shape?.[own])
        if (row === undefined || (row < 0 && size === undefined)) return undefined
        return read(0, [...index.slice(0, own), row < 0 ? row + size! : row, ...index.slice(own + rank)])
      }
      case 'Range': {
        const [start, step] = [read(0, []), read(2, [])]
        return start === undefined || step === undefined ? undefined : start + step * index[0]!
      }
      case 'Shape':
        return this.size(first?.shape?.slice(node.int('start', 0))[index[0]!])
      case 'ConstantOfShape':
        return node.tensor('value')?.scalar() ?? 0
      case 'Trilu': {
        const [row, column] = index.slice(-2)
        const k = node.input(1) ? read(1, []) : 0
        if (k === undefined) return undefined
        return (node.int('upper', 1) ? column! - row! >= k : column! - row! <= k) ? read(0, index) : 0
      }
      case 'ScatterND': {
        // Every element in its place, as writing to a slice of everything is exported.
        const isOwn = index.every((at, axis) => read(1, [...index, axis]) === at)
        return isOwn ? read(2, index) : undefined
      }
      default: {
        const merge = LOGIC[node.opType]
        const [a, b] = merge && node.inputCount === 2 ? [aligned(0), aligned(1)] : []
        return a === undefined || b === undefined ? undefined : Number(merge!(a, b))
      }
    }
  }

  #broadcast(value: Value | undefined, index: readonly number[]): number[] {
    const shape = value?.shape ?? []
    return index.slice(index.length - shape.length).map((at, i) => (shape[i] === 1 ? 0 : at))
  }

  #reshaped(from: Value | undefined, to: Value, index: readonly number[]): number[] | undefined {
    const [inner, outer] = [from?.shape, to.shape].map((shape) => shape?.map((dim) => this.size(dim)))
    if (!inner || !outer || [...inner.slice(1), ...outer.slice(1)].includes(undefined)) return undefined
    let flat = outer.reduce<number>((all, size, i) => all * (i ? size! : 1) + index[i]!, 0)
    return inner
      .toReversed()
      .map((size, i) => {
        const at = i === inner.length - 1 ? flat : flat % size!
        flat = Math.floor(flat / size!)
        return at
      })
      .reverse()
  }

  #sliced(node: Node, index: readonly number[], depth: number): number | undefined {
    const input = node.input(0)
    const list = (name: string, at: number, i: number): number | undefined =>
      node.ints(name)?.[i] ?? (node.input(at) ? this.at(node.input(at), [i], depth) : undefined)
    const count = node.ints('starts')?.length ?? this.size(node.input(1)?.shape?.[0])
    const found = [...index]
    for (let i = 0; i < (count ?? 0); i++) {
      const axis = node.input(3) || node.attributes.has('axes') ? list('axes', 3, i) : i
      const [start, step] = [list('starts', 1, i), node.input(4) ? list('steps', 4, i) : 1]
      if (axis === undefined || start === undefined || step === undefined || step < 1) return undefined
      const own = axis < 0 ? axis + index.length : axis
      const size = this.size(input?.shape?.[own])
      if (start < 0 && size === undefined) return undefined
      found[own] = (start < 0 ? Math.max(start + size!, 0) : start) + found[own]! * step
    }
    return count === undefined ? undefined : this.at(input, found, depth)
  }

  #concatenated(node: Node, index: readonly number[], depth: number): number | undefined {
    const axis = node.int('axis', 0) < 0 ? node.int('axis', 0) + index.length : node.int('axis', 0)
    let before = 0
    for (const value of node.inputs) {
      const size = this.size(value?.shape?.[axis])
      if (size === undefined) return undefined
      if (index[axis]! < before + size) return this.at(value!, index.with(axis, index[axis]! - before), depth)
      before += size
    }
    return undefined
  }
}
