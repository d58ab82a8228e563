import { withFloats } from '../../../../graph/float-data.ts'
import type { Graph } from '../../../../graph/graph.ts'
import type { Node } from '../../../../graph/node.ts'
import type { Value } from '../../../../graph/value.ts'
import { absMax, FLOAT16_MAX } from '../../../../kernels/index.ts'
import { saturates } from '../ranges.ts'
import { type Balance, ruleOf } from './rules.ts'

/** From here on numbers stand for infinity, and are not scaled. */
export const INFINITE = 1e30

/** The smallest largest magnitude of a constant for which rounding to subnormal halves adds nothing to that of the others. */
const SMALLEST_TENSOR = 2 ** -10
const SMALLEST_SCALAR = 2 ** -14

/** Powers of two that a half can hold. */
const LARGEST_STEP = 15

/** How the values of a graph are to be stored: v * 2^-exponent. Nothing is changed yet. */
export interface Exponents {
  /** Exponent by value, where it is not 0. */
  of: ReadonlyMap<Value, number>
  /** By node and input: the exponent that it is read with, where that is not the one that it is stored with. */
  reads: ReadonlyMap<Node, ReadonlyMap<number, number>>
  /** By node: the exponent of its epsilon. */
  epsilons: ReadonlyMap<Node, number>
}

/**
 * Chooses exponents, node by node in the order of computation: a value beyond the half range gets one, and keeps it until a
 * constant or a norm takes it in, or something asks for the number itself.
 *
 * @param largest largest magnitude of values
 * @param below scaled values come to lie below this: other inputs may give larger ones than those that were measured, and squares
 * are to fit too
 * @returns undefined if there is no way with factors that halves can hold
 */
export function chooseExponents(
  graph: Graph,
  largest: ReadonlyMap<Value, number>,
  below: number,
): Exponents | undefined {
  const state = new State(graph, largest, below)
  for (const node of graph.nodes()) state.visit(node)
  return state.isPossible ? state : undefined
}

class State implements Exponents {
  readonly of = new Map<Value, number>()
  readonly reads = new Map<Node, Map<number, number>>()
  readonly epsilons = new Map<Node, number>()
  isPossible = true
  readonly #graph: Graph
  readonly #below: number
  readonly #largest: ReadonlyMap<Value, number>
  readonly #constants = new Map<Value, number>()

  constructor(graph: Graph, largest: ReadonlyMap<Value, number>, below: number) {
    this.#graph = graph
    this.#below = below
    this.#largest = largest
  }

  visit(node: Node): void {
    const floats = node.outputs.filter((value) => value?.dtype === 'float32') as Value[]
    const magnitudes = floats.map((value) => (saturates(value) ? 0 : (this.#largest.get(value) ?? 0)))
    const magnitude = Math.max(0, ...magnitudes)
    const touched = node.inputs.some((value) => value && this.of.has(value))
    if (!touched && !(magnitude > FLOAT16_MAX && magnitude < INFINITE)) return
    if (node.is('Constant') || node.inputs.every((value) => !value || value.constant)) return
    const least =
      magnitude >= INFINITE || magnitude === 0 ? -LARGEST_STEP : Math.ceil(Math.log2(magnitude / this.#below))
    const balance: Balance = {
      node,
      stored: (index) => this.of.get(node.input(index)!) ?? 0,
      isConstant: (index) => node.input(index)?.constant?.dtype === 'float32',
      read: (index, exponent, isSummand) => this.#read(node, index, exponent, isSummand),
      scaleEpsilon: (exponent) => void (exponent && this.epsilons.set(node, exponent)),
      least: magnitude > this.#below && magnitude <= FLOAT16_MAX ? 0 : least,
      goal: magnitude > FLOAT16_MAX && magnitude < INFINITE ? least : 0,
      isFixed: floats.some((value) => this.#mustStay(value)),
    }
    const exponents = ruleOf(node)(balance)
    node.outputs.forEach((value, i) => {
      const exponent = typeof exponents === 'number' ? exponents : (exponents[i] ?? 0)
      if (exponent && value?.dtype === 'float32') this.of.set(value, exponent)
    })
  }

  /** Outputs of the model, and what bodies read, are themselves. */
  #mustStay(value: Value): boolean {
    return value.isOutput || [...value.uses].some(({ node }) => node.graph !== this.#graph)
  }

  #read(node: Node, index: number, exponent: number, isSummand = false): boolean {
    const value = node.input(index)
    if (!value) return true
    const reads = this.reads.get(node) ?? new Map<number, number>()
    this.reads.set(node, reads)
    const stored = this.of.get(value) ?? 0
    if (exponent === stored) {
      reads.delete(index)
      return true
    }
    if (value.constant) {
      if (!this.#takes(value, exponent, isSummand)) return false
    } else if (Math.abs(exponent - stored) > LARGEST_STEP) this.isPossible = false
    else if (this.#push(value, exponent - stored, 4)) return true
    reads.set(index, exponent)
    return true
  }

  /** Has a value made with another exponent where that costs nothing: by a constant that its producer reads. */
  #push(value: Value, by: number, depth: number): boolean {
    const { producer } = value
    if (!producer || depth === 0 || value.uses.size !== 1 || this.#mustStay(value) || this.of.has(value)) return false
    const isFree = (index: number): boolean =>
      !producer.input(index) || (producer.input(index)!.constant !== undefined && this.#reads(producer, index) === 0)
    const take = (factors: readonly number[], summands: readonly number[]): boolean => {
      const present = (indices: readonly number[]): readonly number[] =>
        indices.filter((index) => producer.input(index))
      if (!present(factors).every((index) => this.#takes(producer.input(index)!, by))) return false
      if (!present(summands).every((index) => this.#takes(producer.input(index)!, by, true))) return false
      const reads = this.reads.get(producer) ?? new Map<number, number>()
      for (const index of present([...factors, ...summands])) reads.set(index, by)
      this.reads.set(producer, reads)
      this.of.set(value, by)
      return true
    }
    if (producer.domain !== '') return false
    switch (producer.opType) {
      case 'MatMul':
      case 'Mul':
      case 'Gemm':
      case 'Conv':
        return isFree(1) && isFree(2) && take([1], [2])
      case 'Add': {
        const constant = [0, 1].find((index) => producer.input(index)?.constant)
        if (constant === undefined || !isFree(constant) || !this.#takes(producer.input(constant)!, by, true))
          return false
        return this.#push(producer.input(1 - constant)!, by, depth - 1) && take([], [constant])
      }
      case 'Reshape':
      case 'Transpose':
        return this.#push(producer.input(0)!, by, depth - 1) && take([], [])
      default:
        return false
    }
  }

  #reads(node: Node, index: number): number {
    return this.reads.get(node)?.get(index) ?? 0
  }

  /** True if a constant keeps its digits when it is multiplied by 2^-exponent. */
  #takes(value: Value, exponent: number, isSummand = false): boolean {
    const tensor = value.constant!
    if (tensor.dtype !== 'float32') return false
    const most = this.#constants.get(value) ?? (tensor.elementCount ? withFloats(tensor, absMax) : 0)
    this.#constants.set(value, most)
    // The numbers that stand for infinity do so all the same.
    if (most === 0 || most >= INFINITE || exponent === 0) return true
    const scaled = most * 2 ** -exponent
    if (scaled > FLOAT16_MAX) return false
    const smallest = tensor.elementCount === 1 ? SMALLEST_SCALAR : SMALLEST_TENSOR
    // What vanishes beside larger summands may vanish.
    return exponent < 0 || isSummand || scaled >= smallest
  }
}
