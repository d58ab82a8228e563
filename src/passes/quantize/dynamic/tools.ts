import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import type { ParamOutput } from '../../../params/spec.ts'
import type { quantizeParams } from '../params.ts'
import type { CodeRange, QuantizedWeight, WeightCache } from '../weight-cache.ts'
import type { Activations } from './activations.ts'

export type DynamicOptions = ParamOutput<typeof quantizeParams>

/** What the rewrite of one operator works with. */
export interface Tools {
  options: DynamicOptions
  opset: number
  activations: Activations
  weights: WeightCache
  /** Tables that a Gather and a product with the transposed table share: quantized once, by rows. */
  tied: ReadonlySet<Value>
  /** Runtime transposes of tied tables, by graph. */
  transposes: Map<Graph, Map<Value, Value>>
  /** Values that may turn out to be read by nobody once all nodes are done. */
  leftovers: Set<Value>
}

/** `done`; `skipped` where there is nothing to say; or why the node stays float. */
export type Outcome = 'done' | 'skipped' | { reason: string }

/** How one operator type is quantized. */
export interface Handler {
  op: string
  domain: string
  quantize(node: Node, tools: Tools): Outcome
}

/** Codes that the options allow for weights. */
export function codeRange({ reduceRange }: DynamicOptions): CodeRange {
  return reduceRange === undefined ? 'safe' : reduceRange ? 'reduced' : 'full'
}

/** True if weights of this type get their zero point in the middle. */
export function isSymmetric({ weightSymmetric }: DynamicOptions, type: 'int8' | 'uint8'): boolean {
  return weightSymmetric ?? type === 'int8'
}

/** Why a weight stays float, for the user. */
export function left(reason: string): { reason: string } {
  return { reason }
}

/** True for a weight that could be quantized. */
export function isQuantized(weight: QuantizedWeight | string): weight is QuantizedWeight {
  return typeof weight !== 'string'
}
