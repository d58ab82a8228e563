import type { Node } from '../node.ts'
import type { Dim } from '../types.ts'
import type { Value } from '../value.ts'

/** Integer tensors with more elements than this are no shapes. */
export const CONTENT_LIMIT = 64

/** What is known about the values of a model so far. */
export interface Known {
  /** Shapes of values whose type must not be touched. */
  shapes: Map<Value, readonly Dim[]>
  /** Elements of small integer tensors. */
  contents: Map<Value, readonly Dim[]>
  /** How many names were given to unknown sizes, if they are to get some, and which to what is computed from others. */
  names: { count: number; derived: Map<string, string> } | undefined
  certain: boolean
}

/** What is known about the inputs of a node. */
export class Operands {
  readonly node: Node
  readonly #known: Known

  constructor(node: Node, known: Known) {
    this.node = node
    this.#known = known
  }

  /** True if nothing may be taken for granted. */
  get isCertain(): boolean {
    return this.#known.certain
  }

  /** Shape of input `index`. */
  shapeOf(index: number): readonly Dim[] | undefined {
    const value = this.node.input(index)
    return value && (this.#known.shapes.get(value) ?? value.shape)
  }

  /** Elements of input `index`, where it is a small tensor of whole numbers. */
  contentsOf(index: number): readonly Dim[] | undefined {
    const value = this.node.input(index)
    if (!value) return undefined
    const known = this.#known.contents.get(value)
    if (known) return known
    const tensor = value.constant
    if (!tensor?.dtype || !/^(u?int|bool|float|double)/.test(tensor.dtype) || tensor.elementCount > CONTENT_LIMIT)
      return undefined
    const numbers = tensor.toNumbers()
    return numbers.every(Number.isInteger) ? numbers : undefined
  }

  /** As `contentsOf`, of a list or single number: of what has more dimensions, elements do not stand where they seem to. */
  listOf(index: number): readonly Dim[] | undefined {
    const rank = this.shapeOf(index)?.length ?? this.node.input(index)?.constant?.dims.length ?? 1
    return rank > 1 ? undefined : this.contentsOf(index)
  }

  /** An attribute that became an input: whole numbers, all known. */
  integers(index: number, attribute: string): number[] | undefined {
    const list = this.node.ints(attribute) ?? this.contentsOf(index)
    return list?.every((item) => typeof item === 'number') ? [...list] : undefined
  }

  /** The name of what a computation comes to: the same wherever it is made. */
  derived(computation: string): Dim {
    const { names } = this.#known
    if (!names) return null
    const known = names.derived.get(computation) ?? `?${++names.count}`
    names.derived.set(computation, known)
    return known
  }
}
