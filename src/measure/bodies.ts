import { type AttributeValue, int, ints } from '../graph/attributes.ts'
import type { Graph } from '../graph/graph.ts'
import type { Node } from '../graph/node.ts'
import { Tensor } from '../graph/tensor.ts'
import { tensorType } from '../graph/types.ts'
import { Value } from '../graph/value.ts'
import type { DType } from '../onnx/dtypes.ts'

const CONTROL_FLOW = ['If', 'Loop', 'Scan']

/** True if a value of a body of If, Loop or Scan (or of bodies in them) can be looked at from outside. */
export function isReachable({ graph }: Value): boolean {
  for (let at: Graph | undefined = graph; at?.owner; at = at.owner.graph)
    if (at.owner.domain !== '' || !CONTROL_FLOW.includes(at.owner.opType)) return false
  return true
}

/** From here on the branches of an If may give results of different length. */
const LONGER_BRANCH = 11

/** The nodes of a small computation at the end of a graph. */
export class Builder {
  readonly #graph: Graph

  constructor(graph: Graph) {
    this.#graph = graph
  }

  op(op: string, inputs: readonly Value[], attributes: Record<string, AttributeValue> = {}): Value {
    return this.#graph.insert({ op, inputs: [...inputs], attributes }).output()
  }

  tensor(tensor: Tensor): Value {
    return this.#graph.addInitializer('observed_constant', tensor)
  }

  floats(dims: readonly number[], values: readonly number[]): Value {
    return this.tensor(Tensor.float32(dims, [...values]))
  }

  integers(values: readonly number[]): Value {
    return this.tensor(Tensor.int64(values))
  }

  /** All elements along one axis. */
  flat(value: Value, dtype: DType): Value {
    const flat = this.op('Reshape', [value, this.integers([-1])])
    flat.type = tensorType(dtype, [null])
    return flat
  }
}

/** Tells a Scan that its body has one more output to stack; a Loop need not be told. */
export function noteScanOutput(owner: Node): void {
  for (const name of ['scan_output_axes', 'scan_output_directions']) {
    const list = owner.ints(name)
    if (list) owner.attributes.set(name, ints([...list, 0]))
  }
}

/**
 * Makes a value of a body an output of the model: the elements of all rounds behind one another, along one axis; none where the body did
 * not run. Changes the bodies for good.
 *
 * @returns the output; undefined where the value cannot leave its body: that of a Scan must have the same shape in every round, and before
 * opset 11 both branches of an If give the same
 */
export function exposeRounds(value: Value): Value | undefined {
  const { dtype } = value
  if (!dtype || !isReachable(value)) return undefined
  // Lengths that are the same in every round can be stacked.
  let isSteady = value.shape?.every((dim) => typeof dim === 'number') ?? false
  const hasShape = value.shape?.every((dim) => dim !== null) ?? false
  const owners: Node[] = []
  for (let at = value.graph.owner; at; at = at.graph.owner) owners.push(at)
  if (owners.some(({ opType }, i) => opType === 'Scan' && !(i === 0 && hasShape))) return undefined
  if (owners.some(({ opType }) => opType === 'If') && value.graph.model.opset < LONGER_BRANCH) return undefined
  let result = new Builder(value.graph).flat(value, dtype)
  for (const owner of owners) {
    const body = result.graph
    if (owner.opType === 'If') result = leaveBranch(result, owner, dtype)
    else if (owner.opType === 'Scan' || isSteady) result = leaveStacked(result, body, owner, dtype)
    else result = leaveCarried(result, body, owner, dtype)
    isSteady = false
  }
  result.graph.addOutput(result)
  return result
}

function outerValue(owner: Node, dtype: DType, rank: number): Value {
  const { graph } = owner
  return new Value(graph, graph.model.names.fresh('observed'), tensorType(dtype, Array(rank).fill(null)))
}

/** The other branch gives no elements. */
function leaveBranch(result: Value, owner: Node, dtype: DType): Value {
  for (const branch of owner.subgraphs) {
    const at = new Builder(branch)
    const own =
      branch === result.graph ? result : at.op('Identity', [at.tensor(Tensor.of(dtype, [0], new Uint8Array()))])
    own.type = tensorType(dtype, [null])
    branch.addOutput(own)
  }
  const outer = outerValue(owner, dtype, 1)
  owner.setOutput(result.graph.outputs.length - 1, outer)
  return outer
}

function leaveStacked(result: Value, body: Graph, owner: Node, dtype: DType): Value {
  body.addOutput(result)
  const stacked = outerValue(owner, dtype, 2)
  // The first output of a Loop's body is its condition.
  owner.setOutput(body.outputs.length - (owner.opType === 'Loop' ? 2 : 1), stacked)
  noteScanOutput(owner)
  return new Builder(owner.graph).flat(stacked, dtype)
}

/** What may be longer in one round than in another is handed on from round to round, and grows. */
function leaveCarried(result: Value, body: Graph, owner: Node, dtype: DType): Value {
  const carried = body.inputs.length - 2
  const type = tensorType(dtype, [null])
  const before = body.addInput(body.model.names.fresh('observed'), type)
  const joined = new Builder(body).op('Concat', [before, result], { axis: int(0) })
  joined.type = type
  body.addOutput(joined, 1 + carried)
  owner.setInput(2 + carried, new Builder(owner.graph).tensor(Tensor.of(dtype, [0], new Uint8Array())))
  const outer = outerValue(owner, dtype, 1)
  const outputs = [...owner.outputs]
  for (let i = outputs.length; i > carried; i--) owner.setOutput(i, outputs[i - 1]!)
  owner.setOutput(carried, outer)
  return outer
}
