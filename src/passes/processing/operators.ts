import type { Graph } from '../../graph/graph.ts'
import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { codeOf, type DType } from '../../onnx/dtypes.ts'
import { type AttributeInputs, attributesFrom } from '../../rewrite/attributes.ts'
import type { StandardOp } from '../../rewrite/index.ts'

/** What stands for an input of a new node: a value, int64 numbers, or null for one left out. */
export type Input = Value | readonly number[] | null

/** Adds standard operators to a graph, at one place. */
export class Operators {
  readonly #graph: Graph
  readonly #before: Node | undefined
  readonly #path: string

  /** @param before new nodes go before this one; to the end if left out */
  constructor(graph: Graph, path: string, before?: Node) {
    this.#graph = graph
    this.#before = before
    this.#path = path
  }

  /** Adds a node and returns its first output. */
  op(op: StandardOp, inputs: readonly Input[], attributes: AttributeInputs = {}): Value {
    return this.ops(op, inputs, 1, attributes)[0]!
  }

  /** Adds a node with several outputs. */
  ops(op: StandardOp, inputs: readonly Input[], outputs: number, attributes: AttributeInputs = {}): Value[] {
    const node = this.#graph.insert(
      {
        op,
        inputs: inputs.map((input) => (Array.isArray(input) ? this.ints(input as number[]) : (input as Value | null))),
        attributes: attributesFrom(attributes),
        name: `${this.#path}/${op}`,
        outputs,
      },
      this.#before ? { before: this.#before } : {},
    )
    return node.outputs as Value[]
  }

  cast(value: Value, to: DType): Value {
    return this.op('Cast', [value], { to: codeOf(to) })
  }

  constant(tensor: Tensor): Value {
    return this.#graph.addInitializer(`${this.#path}/constant`, tensor)
  }

  /** int64 numbers [n]. */
  ints(values: readonly number[]): Value {
    return this.constant(Tensor.int64(values))
  }

  /** A float32 number, or an array of shape `dims`. */
  floats(values: number | readonly number[] | Float32Array, dims?: readonly number[]): Value {
    const list = typeof values === 'number' ? [values] : values
    return this.constant(Tensor.float32(dims ?? (typeof values === 'number' ? [] : [list.length]), list))
  }

  /** To the nearest whole number, halves up. WebGPU has no Round. */
  round(value: Value): Value {
    return this.op('Floor', [this.op('Add', [value, this.floats(0.5)])])
  }

  /** Sizes of some dimensions as int64 [n]. */
  sizes(value: Value, from: number, to: number): Value {
    return this.op('Shape', [value], { start: from, end: to })
  }

  /** `from` to `to` along one axis. */
  slice(value: Value, axis: number, from: Input, to: Input, step = 1): Value {
    return this.op('Slice', step === 1 ? [value, from, to, [axis]] : [value, from, to, [axis], [step]])
  }
}
