import { int } from '../../../graph/attributes.ts'
import { copyModel } from '../../../graph/copy.ts'
import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { FLOAT16_MAX } from '../../../kernels/index.ts'
import { isConstant, type Plan } from '../plan.ts'

/** Smallest normal half: values that all lie below it lose most of their digits. */
const SMALLEST_NORMAL = 2 ** -14

/** A copy of a model that also gives the largest magnitude of every float32 value of its main graph. */
export function withRanges(original: Model): { model: Model; ranges: ReadonlyMap<Value, string> } {
  const { model, values } = copyModel(original)
  const ranges = new Map<Value, string>()
  for (const value of valuesOf(original)) {
    const magnitude = model.graph.insert({ op: 'Abs', inputs: [values.get(value)!] }).output()
    const largest = model.graph.insert({ op: 'ReduceMax', inputs: [magnitude], attributes: { keepdims: int(0) } })
    model.graph.addOutput(largest.output())
    ranges.set(value, largest.output().name)
  }
  return { model, ranges }
}

function valuesOf({ graph }: Model): Value[] {
  const computed = [...graph.nodes()].filter((node) => !node.is('Constant')).flatMap(({ outputs }) => outputs)
  return [...graph.inputs, ...computed].filter(
    (value): value is Value => value?.dtype === 'float32' && !isConstant(value),
  )
}

/** From here on numbers mean infinity: masks that are added to scores. They become the largest half, which does as well. */
const INFINITE = 1e30

/** Nodes whose values do not fit a half, with the largest magnitude of what they make or read. */
export interface OutOfRange {
  /** Beyond the half range: they would become infinite. */
  large: Map<Node, number>
  /**
   * Out of range in a way that often does not matter: so small that all of it is subnormal, or so large that it stands for
   * infinity.
   */
  odd: Map<Node, number>
}

/** Sorts the nodes that make or read values out of the half range. */
export function outOfRange(plan: Plan, largest: ReadonlyMap<Value, number>): OutOfRange {
  const [large, odd] = [new Map<Node, number>(), new Map<Node, number>()]
  for (const [value, magnitude] of largest) {
    if (magnitude <= FLOAT16_MAX && (magnitude === 0 || magnitude >= SMALLEST_NORMAL)) continue
    const found = magnitude > FLOAT16_MAX && magnitude < INFINITE ? large : odd
    if (value.producer && plan.isHalf(value)) found.set(value.producer, magnitude)
    for (const { node, index } of value.uses)
      if (plan.wantsHalf(node, index) && node.graph === value.graph && !found.has(node)) found.set(node, magnitude)
  }
  return { large, odd }
}

/** Operators whose result for an infinite input is what it is for a very large one. */
const SATURATING = new Set([
  ...['Tanh', 'Sigmoid', 'Erf', 'HardSigmoid', 'Softsign', 'Clip', 'Min', 'Max', 'Sign', 'ArgMax', 'ArgMin', 'TopK'],
  ...['Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual', 'Reciprocal', 'Cast', 'Exp'],
])

/** True if all that reads a value does as well with infinity where it is very large. */
export function saturates({ users }: Value): boolean {
  return users.length > 0 && users.every(({ opType }) => SATURATING.has(opType))
}

/** True if a node may do with float16 although a value beyond the half range comes or goes: the infinity ends in it, or next to it. */
export function mayBeInfinite(node: Node): boolean {
  return SATURATING.has(node.opType) || node.outputs.some((value) => value && saturates(value))
}
