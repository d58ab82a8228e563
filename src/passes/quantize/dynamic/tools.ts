import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import type { ParamOutput } from '../../../params/spec.ts'
import type { quantizeParams } from '../params.ts'
import type { Weight } from '../weight.ts'
import type { CodeRange, WeightCache } from '../weight-cache.ts'
import type { Activations } from './activations.ts'
import type { Factors } from './smooth.ts'

/** Integer products have 8-bit weights. */
export type DynamicOptions = Omit<ParamOutput<typeof quantizeParams>, 'weightType'> & {
  weightType?: 'int8' | 'uint8' | undefined
}

/** What the rewrite of one operator works with. */
export interface Tools {
  options: DynamicOptions
  opset: number
  activations: Activations
  weights: WeightCache
  /** Tables that a Gather and a product with the transposed table share: quantized once, by rows. */
  tied: ReadonlySet<Value>
  /** Matrices that are a transposed copy of a tied table, and the table. */
  copies: ReadonlyMap<Value, Weight>
  /** Transposes of tied tables. */
  transposes: Map<Value, Value>
  /** Factors that weights are multiplied by, because the activations they meet were divided by them. */
  factors: ReadonlyMap<Node, Factors>
  /** True if rows of weights that dwarf the others are to stay float. */
  splitsOutliers: boolean
  /** Activations without the channels that such rows meet. */
  masked: Map<string, Value>
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
