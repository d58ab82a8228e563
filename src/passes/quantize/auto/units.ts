import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { type Aliases, type Selection, selector } from '../select.ts'
import { findWeight } from '../weight.ts'
import type { Formula } from './params.ts'

/** Where operators have the weights that decide about their size. */
const WEIGHT_INPUT: Readonly<Record<string, number>> = {
  MatMul: 1,
  Gemm: 1,
  Conv: 1,
  ConvTranspose: 1,
  Gather: 0,
  Attention: 1,
  LSTM: 1,
  EmbedLayerNormalization: 2,
}

const PRODUCTS = ['MatMul', 'Gemm', 'Gather']
const STATIC = [...PRODUCTS, 'Conv', 'ConvTranspose', 'Attention', 'EmbedLayerNormalization']
const SERVED: Readonly<Record<Formula, readonly string[]>> = {
  '4bit': PRODUCTS,
  '8bit': PRODUCTS,
  static: STATIC,
  'static-mse': STATIC,
  dynamic: [...PRODUCTS, 'Conv', 'Attention', 'LSTM', 'EmbedLayerNormalization'],
}

/** A formula for all units; those that it cannot serve get the first of the others that can, or stay float. */
export function uniform(units: readonly Unit[], formula: Formula, others: readonly Formula[]): Map<string, Formula> {
  const assignment = new Map<string, Formula>()
  for (const { id, node } of units) {
    const found = [formula, ...others].find((candidate) => SERVED[candidate].includes(node.opType))
    if (found) assignment.set(id, found)
  }
  return assignment
}

/** A node with a weight: what a choice is made for. Known by the name of its first output, which copies of the model keep. */
export interface Unit {
  id: string
  node: Node
  /** The float constant. */
  weight: Value
}

/** A name that is the same in copies of the model: that of the first output. */
export function idOf(node: Node): string {
  return node.outputs.find((value) => value)?.name ?? ''
}

/** True for operators that a choice can be made for. */
export function isUnitType({ domain, opType }: Node): boolean {
  return Object.hasOwn(WEIGHT_INPUT, opType) && (domain === '' || domain === 'com.microsoft')
}

/** All nodes with weights that the user's selection leaves. */
export function unitsOf(model: Model, selection: Selection, aliases: Aliases): Unit[] {
  const isSelected = selector(model, selection, Object.keys(WEIGHT_INPUT), () => {}, undefined, aliases)
  return [...model.graph.allNodes()].flatMap((node) => {
    const found = isUnitType(node) ? findWeight(node.input(WEIGHT_INPUT[node.opType]!)) : undefined
    if (!found || found.tensor.dims.length < 2 || !isSelected(node)) return []
    return [{ id: idOf(node), node, weight: found.root }]
  })
}
