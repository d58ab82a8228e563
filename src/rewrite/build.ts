import type { Graph } from '../graph/graph.ts'
import type { Node } from '../graph/node.ts'
import { Tensor } from '../graph/tensor.ts'
import { Value } from '../graph/value.ts'
import { isFloat } from '../onnx/dtypes.ts'
import { type AttributeInputs, attributesFrom } from './attributes.ts'
import { MICROSOFT, type MicrosoftOp, type StandardOp, splitQualified } from './ops.ts'
import { byOperator, Failure } from './pattern.ts'
import { typeOfNew } from './types.ts'

/** An input of a new node: a value, a constant (a number of the first value's type, int64 numbers, a tensor), or null for one left out. */
export type BuildInput = Value | Tensor | number | readonly number[] | null | undefined

/** Makes a node of one operator and returns its first output. Attributes come last. */
export type OpBuilder = (...inputs: readonly (BuildInput | AttributeInputs)[]) => Value

/** What `create` makes. `outputs` is how many, or for each whether it is wanted. */
export interface CreateNode {
  /** Qualified operator name. */
  op: string
  inputs: readonly BuildInput[]
  attributes?: AttributeInputs
  outputs?: number | readonly boolean[]
}

/** Domains that live only between two rules; no model declares them, and none may be left when the pass ends. */
export const INTERNAL_DOMAIN = 'unplugin-onnx.internal'

/** What a rule's `replace` builds with. Nodes go into the graph at once, before the match's first root; a refused rewrite takes them back. */
export interface Build {
  /** Standard operators: `op.Mul(x, 0.5)`, `op.Transpose(x, { perm: [0, 2, 1] })`. */
  op: { readonly [K in StandardOp]: OpBuilder }
  /** Operators of `com.microsoft`. */
  ms: { readonly [K in MicrosoftOp]: OpBuilder }
  /** A node of any domain with any number of outputs; left-out outputs are null. */
  create(node: CreateNode): (Value | null)[]
  /** A constant of the graph; `name` is a wish. */
  constant(tensor: Tensor, name?: string): Value
}

function isAttributes(input: BuildInput | AttributeInputs): input is AttributeInputs {
  return (
    typeof input === 'object' &&
    input !== null &&
    !(input instanceof Value) &&
    !(input instanceof Tensor) &&
    !Array.isArray(input)
  )
}

/** Builds the nodes of one replacement, and can take them all back. */
export class Builder implements Build {
  readonly op: Build['op']
  readonly ms: Build['ms']
  readonly created: Node[] = []
  readonly #constants: Value[] = []
  readonly #graph: Graph
  readonly #before: Node
  readonly #useDomain: (domain: string) => void
  readonly #inFunction: boolean
  /** Where new nodes are named: the path of the node they replace. */
  readonly #path: string

  constructor(before: Node, options: { useDomain: (domain: string) => void; inFunction: boolean }) {
    this.#graph = before.graph
    this.#before = before
    this.#useDomain = options.useDomain
    this.#inFunction = options.inFunction
    this.#path = before.name.slice(0, before.name.lastIndexOf('/') + 1)
    const make =
      (op: string) =>
      (...args: readonly (BuildInput | AttributeInputs)[]): Value => {
        const last = args.at(-1)
        const attributes = isAttributes(last) ? last : {}
        const inputs = (isAttributes(last) ? args.slice(0, -1) : args) as BuildInput[]
        return this.create({ op, inputs, attributes })[0]!
      }
    this.op = byOperator('', make) as Build['op']
    this.ms = byOperator(MICROSOFT, make) as Build['ms']
  }

  create({ op: name, inputs, attributes = {}, outputs = 1 }: CreateNode): (Value | null)[] {
    const { op, domain } = splitQualified(name)
    const like = inputs.find((input) => input instanceof Value)
    const given = inputs.map((input) => this.#input(input, like))
    while (given.length && given.at(-1) === null) given.pop()
    const wanted = typeof outputs === 'number' ? Array.from({ length: outputs }, () => true) : outputs
    const ready = attributesFrom(attributes)
    const node = this.#graph.insert(
      {
        op,
        domain,
        inputs: given,
        attributes: ready,
        name: this.#path + op,
        outputs: wanted.map((isWanted, i) => (isWanted ? `${this.#path}${op}_output_${i}` : null)),
        types: wanted.map((_, i) => (i === 0 || op === 'Split' ? typeOfNew(op, given, ready) : undefined)),
      },
      { before: this.#before },
    )
    this.created.push(node)
    if (domain !== INTERNAL_DOMAIN) this.#useDomain(domain)
    return [...node.outputs]
  }

  constant(tensor: Tensor, name = 'constant'): Value {
    const wish = this.#path + name
    let value: Value
    if (this.#inFunction || !this.#graph.model.initializersAreOverridable) {
      // Function bodies have no initializers, and before IR version 4 an initializer would have to be an input.
      const node = this.#graph.insert(
        {
          op: 'Constant',
          inputs: [],
          attributes: { value: { kind: 'tensor', value: tensor } },
          name: wish,
          types: [{ kind: 'tensor', dtype: tensor.dtype, shape: tensor.dims }],
        },
        { before: this.#before },
      )
      this.created.push(node)
      value = node.output()
    } else {
      value = this.#graph.addInitializer(wish, tensor)
      this.#constants.push(value)
    }
    return value
  }

  #input(input: BuildInput, like: Value | undefined): Value | null {
    if (input === null || input === undefined) return null
    if (input instanceof Value) return input
    if (input instanceof Tensor) return this.constant(input)
    if (typeof input !== 'number') return this.constant(Tensor.int64(input))
    const dtype = like?.dtype
    if (!dtype) throw new Failure('has an unknown element type, so that no constant can be made for it', like)
    if (!isFloat(dtype) && !Number.isInteger(input)) throw new Failure(`is of ${dtype} and can't meet ${input}`, like)
    return this.constant(Tensor.from(dtype, [], [input]))
  }

  /** Removes everything that was built and is unused. */
  undo(): void {
    for (const node of [...this.created].reverse())
      if (node.isLinked && node.outputs.every((value) => !value || value.isUnused)) this.#graph.remove(node)
    this.dropUnusedConstants()
  }

  dropUnusedConstants(): void {
    for (const value of this.#constants) if (value.isUnused && value.tensor) this.#graph.removeInitializer(value)
  }
}
