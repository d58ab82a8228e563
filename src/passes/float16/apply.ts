import { int, tensor as tensorAttribute } from '../../graph/attributes.ts'
import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { codeOf, type DType } from '../../onnx/dtypes.ts'
import type { HalfConstants, HalfType } from './constants.ts'
import { isConstant, type KeepIo, type Plan, returnsHalf } from './plan.ts'
import { halfAttributes } from './retarget.ts'
import { sequencesOf } from './sequences.ts'

/** Carries a plan out: retypes values, converts constants, and puts a Cast where types meet, one for each value and type. */
export class Conversion {
  readonly #model: Model
  readonly #plan: Plan
  readonly #constants: HalfConstants
  readonly #keep: KeepIo
  /** The other form of a value, made once. */
  readonly #half = new Map<Value, Value>()
  readonly #float = new Map<Value, Value>()
  readonly #type: HalfType
  casts = 0

  constructor(model: Model, plan: Plan, constants: HalfConstants, keep: KeepIo) {
    this.#type = constants.type
    this.#model = model
    this.#plan = plan
    this.#constants = constants
    this.#keep = keep
  }

  run(): void {
    const { graph } = this.#model
    // What is decided by the original types is decided before any of them changes.
    const wanted = [...graph.allNodes()].map((node) => ({
      node,
      half: node.inputs.map((value, i) => value?.dtype === 'float32' && this.#plan.wantsHalf(node, i)),
      float: node.inputs.map((value, i) => value?.dtype === 'float32' && !this.#plan.wantsHalf(node, i)),
    }))
    const produced = [...this.#halfValues()]
    const returned = [...graph.allGraphs()]
      .filter((body) => body.owner)
      .map((body) => ({
        body,
        floats: body.outputs.map((value) => value.dtype === 'float32'),
      }))
    // Types that a file states for values of outer graphs are no longer true.
    for (const { extra } of graph.allGraphs()) if (extra) delete extra.strayInfos
    this.#retypeInputs(graph)
    for (const value of produced) this.#retypeProduced(value)
    for (const node of this.#plan.nodes.keys())
      for (const value of sequencesOf(node))
        if (value.type) value.type = { kind: 'sequence', element: tensorType(this.#type) }
    for (const { node, half, float } of wanted) {
      if (this.#plan.nodes.has(node))
        for (const [name, value] of halfAttributes(node, this.#type)) node.attributes.set(name, value)
      for (const [i, value] of node.inputs.entries()) {
        if (value && half[i]) node.setInput(i, this.#asHalf(value))
        else if (value && float[i]) node.setInput(i, this.#asFloat(value))
      }
    }
    for (const { body, floats } of returned)
      for (const [i, value] of body.outputs.entries())
        if (floats[i])
          body.setOutput(
            i,
            this.#localTo(body, returnsHalf(body, this.#plan) ? this.#asHalf(value) : this.#asFloat(value)),
          )
    this.#dropIdleCasts()
  }

  *#halfValues(): Generator<Value> {
    for (const graph of this.#model.graph.allGraphs()) {
      if (graph.owner) for (const value of graph.inputs) if (this.#plan.isHalf(value)) yield value
      for (const node of graph.nodes())
        for (const value of node.outputs) if (value && this.#plan.isHalf(value)) yield value
    }
  }

  /** Inputs of the model that need not stay float32. */
  #retypeInputs(graph: Graph): void {
    for (const value of graph.inputs) {
      if (!this.#plan.isHalf(value)) continue
      if (value.tensor) graph.setInitializer(value, this.#constants.of(value)!)
      retype(value, this.#type)
      this.#half.set(value, value)
    }
  }

  /** A value that its node now gives as float16. An output of the model that stays float32 gets a Cast under its name. */
  #retypeProduced(value: Value): void {
    const { producer, graph } = value
    const staysFloat = graph === this.#model.graph && value.isOutput && this.#keep(value.name)
    if (staysFloat && producer) {
      const { shape } = value
      const half = graph.insert(
        { op: 'Identity', inputs: [], outputs: [`${value.name}_${this.#type}`] },
        { before: producer },
      )
      const fresh = half.output()
      half.setOutput(0, null)
      graph.remove(half)
      producer.setOutput(value.outputIndex, fresh)
      fresh.type = tensorType(this.#type, shape)
      const cast = this.#castNode(fresh, 'float32', producer, null)
      cast.setOutput(0, value)
      this.#half.set(value, fresh)
      this.#float.set(value, value)
    } else {
      retype(value, this.#type)
      this.#half.set(value, value)
    }
  }

  #asHalf(value: Value): Value {
    let half = this.#half.get(value)
    if (!half) {
      half = isConstant(value) ? this.#halfConstant(value) : this.#cast(value, this.#type)
      this.#half.set(value, half)
    }
    return half
  }

  #asFloat(value: Value): Value {
    if (this.#half.get(value) !== value) return value
    let float = this.#float.get(value)
    if (!float) {
      float = this.#cast(value, 'float32')
      this.#float.set(value, float)
    }
    return float
  }

  /** The float16 form of a constant: in its place if nobody reads it as float32, else beside it. */
  #halfConstant(value: Value): Value {
    const tensor = this.#constants.of(value)!
    const { graph, producer } = value
    const others = [...value.uses].some(({ node, index }) => !this.#plan.wantsHalf(node, index))
    if (others || value.isOutput) return graph.addInitializer(`${value.name}_${this.#type}`, tensor)
    if (producer) {
      producer.attributes.clear()
      producer.attributes.set('value', tensorAttribute(tensor))
      retype(value, this.#type)
    } else {
      if (value.isInput) graph.removeInput(value)
      graph.setInitializer(value, tensor)
      retype(value, this.#type)
    }
    return value
  }

  /** `value` in another type, right after it is computed. */
  #cast(value: Value, dtype: DType): Value {
    const { producer } = value
    // A Cast of a Cast from integers is one Cast from integers.
    const source =
      dtype === this.#type && producer?.is('Cast') && producer.input(0)?.dtype?.includes('int')
        ? producer.input(0)!
        : value
    return this.#castNode(source, dtype, producer, `${value.name}_${dtype}`, value.graph, value).output()
  }

  #castNode(
    source: Value,
    dtype: DType,
    after: Node | undefined,
    name: string | null,
    graph: Graph = source.graph,
    like: Value = source,
  ): Node {
    this.casts++
    const position = after?.graph === graph ? { after } : { before: graph.firstNode }
    return graph.insert(
      {
        op: 'Cast',
        inputs: [source],
        attributes: { to: int(codeOf(dtype)) },
        outputs: [name],
        types: [tensorType(dtype, like.shape)],
      },
      position,
    )
  }

  /** A body may return only what it computes: an outer value (or one returned already) passes through an Identity. */
  #localTo(body: Graph, value: Value): Value {
    if (value.graph === body) return value
    return body.insert({ op: 'Identity', inputs: [value], types: [value.type] }).output()
  }

  /** Casts of the source model that now lead from a type to itself. */
  #dropIdleCasts(): void {
    for (const graph of this.#model.graph.allGraphs())
      for (const node of graph.nodes()) {
        const from = node.is('Cast') ? node.input(0) : undefined
        if (!from?.dtype || node.int('to') !== codeOf(from.dtype) || node.output().isOutput) continue
        node.output().replaceUses(from)
        graph.remove(node)
      }
  }
}

function retype(value: Value, dtype: DType): void {
  value.type = tensorType(dtype, value.type?.kind === 'tensor' ? value.type.shape : undefined)
}
