import { int } from '../../../graph/attributes.ts'
import { copyModel, copyNodes } from '../../../graph/copy.ts'
import type { Graph } from '../../../graph/graph.ts'
import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { codeOf, type DType } from '../../../onnx/dtypes.ts'
import type { HalfConstants } from '../constants.ts'
import { isConstant, type Plan } from '../plan.ts'

/** Name of the input that says which nodes compute in float16. */
export const SWITCHES = 'float16_switches'

/** Operators for which the values that they read do not matter, or that read none. */
const VALUELESS = new Set(['Constant', 'Shape', 'Size'])

/** Constants above this many elements are always rounded: choosing between two forms of them at each run would be slow. */
const LARGE = 65536

/**
 * A float32 model in which every value is rounded to float16 and back (with explicit Casts, which ONNX Runtime keeps) where
 * the node that makes it, or the one that reads it, is switched to float16. So one session tries any choice of nodes, and
 * the measure is honest on a CPU, whose float16 kernels often compute in float32 without rounding in between.
 */
export class Instrumented {
  readonly model: Model
  /** Nodes of the original model that can be switched, in the order of the switches. */
  readonly units: readonly Node[]
  /** Names of the outputs, in the order of the original's. */
  readonly outputs: readonly string[]
  readonly #original: Model
  readonly #plan: Plan
  readonly #constants: HalfConstants
  readonly #graph: Graph
  readonly #indices: ReadonlyMap<Node, number>
  readonly #values: ReadonlyMap<Value, Value | null>
  readonly #made = new Map<string, Value>()
  readonly #switches: Value

  constructor(original: Model, plan: Plan, constants: HalfConstants) {
    this.#original = original
    this.#plan = plan
    this.#constants = constants
    this.units = [...original.graph.nodes()].filter((node) => plan.nodes.has(node) && !VALUELESS.has(node.opType))
    this.#indices = new Map(this.units.map((node, i) => [node, i]))
    const { model, nodes, values } = copyModel(original)
    this.model = model
    this.#graph = model.graph
    this.#values = values
    this.#switches = model.graph.addInput(SWITCHES, tensorType('bool', [this.units.length]))
    for (const [node, copy] of nodes)
      for (const [i, value] of node.inputs.entries())
        if (value?.dtype === 'float32' && value.graph === original.graph) copy.setInput(i, this.#asRead(value, node, i))
    original.graph.outputs.forEach((value, i) => {
      if (value.dtype === 'float32' && value.producer) model.graph.setOutput(i, this.asMade(value))
    })
    this.outputs = model.graph.outputs.map(({ name }) => name)
  }

  /** A value as its producer gives it: rounded where that is switched. */
  asMade(value: Value): Value {
    const producer = this.#producerOf(value)
    return producer === undefined ? this.#values.get(value)! : this.#select(value, [producer])
  }

  /**
   * Adds the exact computation beside the switched one, and for each unit two outputs: the sum of squares of the error of its
   * first float result, and of the result itself.
   *
   * @returns the names of these outputs by unit; undefined for units without float results
   */
  addErrors(): ({ noise: string; signal: string } | undefined)[] {
    const exact = new Map(this.#values)
    for (const node of this.#original.graph.nodes()) for (const value of node.outputs) if (value) exact.delete(value)
    copyNodes(this.#original.graph, this.#graph, { prefix: 'exact/', values: exact })
    return this.units.map((unit) => {
      const value = unit.outputs.find((output) => output?.dtype === 'float32')
      if (!value) return undefined
      const difference = this.#insert('Sub', [this.asMade(value), exact.get(value)!])
      const [noise, signal] = [difference, exact.get(value)!].map((from) => {
        const sum = this.#insert('ReduceSumSquare', [from], { keepdims: int(0) })
        this.#graph.addOutput(sum)
        return sum.name
      })
      return { noise: noise!, signal: signal! }
    })
  }

  #producerOf(value: Value): number | undefined {
    return value.producer && this.#plan.isHalf(value) ? this.#indices.get(value.producer) : undefined
  }

  /** What input `index` of `node` reads. Nodes inside of a unit's subgraphs are switched with it. */
  #asRead(value: Value, node: Node, index: number): Value {
    let top = node
    while (top.graph !== this.#original.graph && top.graph.owner) top = top.graph.owner
    const reader = this.#indices.get(top)
    const wants = reader !== undefined && (top !== node || this.#plan.wantsHalf(node, index))
    if (isConstant(value)) return wants ? this.#constant(value, reader) : this.#values.get(value)!
    if (!value.producer && this.#plan.isHalf(value)) return this.#rounded(value)
    const units = [this.#producerOf(value), wants ? reader : undefined].filter((unit) => unit !== undefined)
    return units.length ? this.#select(value, units) : this.#values.get(value)!
  }

  /** Rounded if one of the units is switched to float16. */
  #select(value: Value, units: readonly number[]): Value {
    const chosen = [...new Set(units)].sort((a, b) => a - b)
    return this.#once(`select ${chosen} ${value.name}`, () => {
      const raw = this.#values.get(value)!
      return this.#insert('Where', [this.#any(chosen), this.#rounded(value), raw])
    })
  }

  #any(units: readonly number[]): Value {
    return this.#once(`any ${units}`, () => {
      if (units.length > 1)
        return this.#insert(
          'Or',
          units.map((unit) => this.#any([unit])),
        )
      const index = this.#graph.addInitializer('unit', Tensor.int64([units[0]!], []))
      return this.#insert('Gather', [this.#switches, index])
    })
  }

  #rounded(value: Value): Value {
    return this.#once(`round ${value.name}`, () =>
      this.#cast(this.#cast(this.#values.get(value)!, 'float16'), 'float32'),
    )
  }

  #constant(value: Value, reader: number): Value {
    const half = this.#constants.of(value)
    if (!half) return this.#values.get(value)!
    const rounded = this.#once(`round ${value.name}`, () =>
      this.#cast(this.#graph.addInitializer(`${value.name}_float16`, half), 'float32'),
    )
    if (half.elementCount > LARGE) return rounded
    return this.#once(`select ${reader} ${value.name}`, () =>
      this.#insert('Where', [this.#any([reader]), rounded, this.#values.get(value)!]),
    )
  }

  #cast(value: Value, dtype: DType): Value {
    return this.#insert('Cast', [value], { to: int(codeOf(dtype)) })
  }

  #insert(op: string, inputs: readonly Value[], attributes = {}): Value {
    return this.#graph.insert({ op, inputs, attributes }).output()
  }

  #once(key: string, make: () => Value): Value {
    let value = this.#made.get(key)
    if (!value) {
      value = make()
      this.#made.set(key, value)
    }
    return value
  }
}
