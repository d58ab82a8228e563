import type { Node } from '../../graph/node.ts'
import { legalityOf } from '../../rules/legality.ts'
import { finding, type LintContext, type LintRule } from '../finding.ts'

/** Float operators that the device has no kernel for: their operands go to the CPU and back. */
export const leaving: LintRule = (context) => {
  const nodes = [...context.model.graph.allNodes()].filter((node) => isFloat(node) && !isThere(node, context))
  const ops = [...new Set(nodes.map(({ qualifiedType }) => qualifiedType))].sort()
  const source = context.operators ? ` of ${context.operators.source}` : ''
  return finding('leaving', nodes, {
    message: `operators without a kernel${source} on ${context.device}: ${ops.join(', ')}`,
    cost: 'each waits for the GPU, copies its operands to the CPU and its result back',
    change: 'Replace them by operators that the device has, or move them to the beginning or the end of the model.',
  })
}

/** Shapes and other integers are computed on the CPU anyway. */
function isFloat(node: Node): boolean {
  return !node.subgraphs.length && [...node.inputs, ...node.outputs].some((value) => value?.isFloat && !value.constant)
}

/** Operators that give their input on, or are gone when the model is loaded. */
const FREE = new Set(['Identity', 'Dropout', 'Constant', 'Shape', 'Size'])

function isThere(node: Node, { model, device, operators }: LintContext): boolean {
  if (FREE.has(node.opType)) return true
  const opset = model.opsets.get(node.domain) ?? 1
  if (node.domain === '') return operators?.has('', node.opType, opset) ?? true
  const known = operators?.has(node.domain, node.opType, opset) ?? false
  return known || legalityOf(device)(node.qualifiedType, model.opset, node.input(0)?.dtype)
}
