import { int } from '../../../graph/attributes.ts'
import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { tensorType } from '../../../graph/types.ts'
import { Value } from '../../../graph/value.ts'
import { Builder, noteScanOutput } from '../../../measure/bodies.ts'
import type { MaskLimits } from './statistics.ts'

/** Element type codes of the standard. */
const FLOAT = 1
/** Smallest, largest, number of masks: of no values at all. */
const NOTHING = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0]

/**
 * Makes a summary of a value of a body an output of the model: smallest and largest value over all rounds, those that are not finite
 * and masks left out, and the number of masks. Where the body did not run, the first is greater than the second.
 *
 * Values themselves cannot leave a body as they are: their shape may differ from round to round, and the other branch has none.
 *
 * @returns the output, three float32 numbers
 */
export function exposeSummary(value: Value, limits: MaskLimits): Value {
  let summary = summarize(value, limits)
  for (let { graph } = value; graph.owner; graph = graph.owner.graph) summary = lift(summary, graph, graph.owner)
  summary.graph.addOutput(summary)
  return summary
}

/** The nodes of a summary at the end of a graph. */
class Summary extends Builder {
  constant(values: readonly number[], dims: readonly number[] = [values.length]): Value {
    return this.floats(dims, values)
  }

  /** Reduces all elements, and the one for nothing, to one. */
  reduce(op: 'ReduceMin' | 'ReduceMax' | 'ReduceSum', values: Value, nothing: number): Value {
    const all = this.op('Concat', [values, this.constant([nothing])], { axis: int(0) })
    return this.op(op, [all], { keepdims: int(1) })
  }

  join(parts: readonly Value[]): Value {
    const joined = this.op('Concat', parts, { axis: int(0) })
    joined.type = tensorType('float32', [3])
    return joined
  }
}

function summarize(value: Value, { low, high }: MaskLimits): Value {
  const at = new Summary(value.graph)
  const float = value.dtype === 'float32' ? value : at.op('Cast', [value], { to: int(FLOAT) })
  const flat = at.op('Reshape', [float, at.integers([-1])])
  // Comparisons with NaN are false.
  const [above, below] = [at.op('Greater', [flat, at.constant([low])]), at.op('Less', [flat, at.constant([high])])]
  const isNumber = at.op('And', [above, below])
  const numbersOr = (other: number): Value => at.op('Where', [isNumber, flat, at.constant([other])])
  const finite = at.op('And', [
    at.op('Greater', [flat, at.constant([Number.NEGATIVE_INFINITY])]),
    at.op('Less', [flat, at.constant([Number.POSITIVE_INFINITY])]),
  ])
  const isMask = at.op('And', [finite, at.op('Not', [isNumber])])
  return at.join([
    at.reduce('ReduceMin', numbersOr(Number.POSITIVE_INFINITY), NOTHING[0]!),
    at.reduce('ReduceMax', numbersOr(Number.NEGATIVE_INFINITY), NOTHING[1]!),
    at.reduce('ReduceSum', at.op('Cast', [isMask], { to: int(FLOAT) }), NOTHING[2]!),
  ])
}

/** Gives a summary out of a body, to the graph around it. */
function lift(summary: Value, body: Graph, owner: Node): Value {
  const { graph } = owner
  const outer = (index: number, rank: number): Value => {
    const type = tensorType('float32', rank === 1 ? [3] : [null, 3])
    const value = new Value(graph, graph.model.names.fresh('summary'), type)
    owner.setOutput(index, value)
    return value
  }
  if (owner.opType === 'If') {
    for (const branch of owner.subgraphs) {
      const at = new Summary(branch)
      const other = (): Value => at.op('Identity', [at.constant(NOTHING)])
      const own = branch === body ? summary : other()
      own.type = tensorType('float32', [3])
      branch.addOutput(own)
    }
    return outer(body.outputs.length - 1, 1)
  }
  body.addOutput(summary)
  // The first output of a Loop's body is its condition.
  const stacked = outer(body.outputs.length - (owner.opType === 'Loop' ? 2 : 1), 2)
  noteScanOutput(owner)
  const at = new Summary(graph)
  const rows = at.op('Concat', [stacked, at.constant(NOTHING, [1, 3])], { axis: int(0) })
  const column = (i: number): Value =>
    at.op('Reshape', [at.op('Gather', [rows, at.integers([i])], { axis: int(1) }), at.integers([-1])])
  return at.join([
    at.reduce('ReduceMin', column(0), NOTHING[0]!),
    at.reduce('ReduceMax', column(1), NOTHING[1]!),
    at.reduce('ReduceSum', column(2), NOTHING[2]!),
  ])
}
