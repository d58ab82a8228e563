import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { DTYPES } from '../../onnx/dtypes.ts'

/** Operators whose result is wrong, not merely rough, when a position or a size is rounded to 11 bits. */
const SENSITIVE = new Set([
  'Sin',
  'Cos',
  'Tan',
  'Log',
  'Floor',
  'Ceil',
  'Round',
  'Mod',
  'Range',
  'Equal',
  'Less',
  'Greater',
  'LessOrEqual',
  'GreaterOrEqual',
])

/**
 * Nodes that compute with positions and sizes: float values that come from integers and constants alone and end in an
 * integer, in an angle (rotary embeddings), in a logarithm (relative position buckets) or in an operator that needs float32
 * (`demandsFloat`). Half precision holds integers exactly only up to 2048, so these stay in float32; they are cheap.
 */
export function indexArithmetic(model: Model, demandsFloat: (node: Node, index: number) => boolean): Set<Node> {
  const derived = new Set<Value>()
  const nodes = [...model.graph.allNodes()]
  for (const node of nodes) {
    const inputs = node.inputs.filter((value) => value !== null)
    const fromIntegers =
      (node.is('Cast') && isInteger(inputs[0])) ||
      (inputs.some((value) => derived.has(value)) &&
        inputs.every((value) => derived.has(value) || value.dtype !== 'float32' || value.constant))
    if (!fromIntegers || node.subgraphs.length) continue
    for (const value of node.outputs) if (value?.dtype === 'float32') derived.add(value)
  }
  const exact = new Set<Node>()
  const waiting: Value[] = []
  for (const node of nodes)
    for (const [i, value] of node.inputs.entries()) {
      if (!value || !derived.has(value)) continue
      const toInteger = node.is('Cast') && isInteger(node.outputs[0] ?? undefined)
      const sensitive = node.domain === '' && SENSITIVE.has(node.opType)
      if (!toInteger && !sensitive && !demandsFloat(node, i)) continue
      waiting.push(value)
      if (toInteger || sensitive) exact.add(node)
    }
  for (let value = waiting.pop(); value; value = waiting.pop()) {
    const { producer } = value
    if (!producer || exact.has(producer)) continue
    exact.add(producer)
    for (const input of producer.inputs) if (input && derived.has(input)) waiting.push(input)
  }
  return exact
}

function isInteger(value: Value | undefined): boolean {
  const { dtype } = value ?? {}
  return dtype !== undefined && (DTYPES[dtype].kind === 'int' || dtype === 'bool')
}
