import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { legalityOf } from '../../rules/legality.ts'
import { finding, type LintContext, type LintRule } from '../finding.ts'
import { bytesOf, megabytes } from '../sizes.ts'

/** Float operators that the device has no kernel for: their operands go to the CPU and back. */
export const leaving: LintRule = (context) => {
  const nodes = [...context.model.graph.allNodes()].filter((node) => isFloat(node) && !isThere(node, context))
  const ops = [...new Set(nodes.map(({ qualifiedType }) => qualifiedType))].sort()
  const source = context.operators ? ` of ${context.operators.source}` : ''
  const { down, up } = copies(new Set(nodes))
  const bytes = [...down, ...up].map(bytesOf)
  const known = bytes.reduce((sum: number, size) => sum + (size ?? 0), 0)
  const traffic = known ? ` of ${bytes.includes(undefined) ? 'more than ' : ''}${megabytes(known)}` : ''
  return finding('leaving', nodes, {
    message: `operators without a kernel${source} on ${context.device}: ${ops.join(', ')}`,
    cost: `they run on the CPU: ${count(down.size, 'tensor')} copied from the GPU, for which it has to finish first, and ${count(up.size, 'tensor')} back${traffic}, in every run`,
    change: `${older(nodes, context)}Replace them by operators that the device has, or move them to the beginning or the end of the model.`,
  })
}

/** Some operators lose their kernel with a newer opset: exporting with an older one is all it takes. */
function older(nodes: readonly Node[], { model, operators }: LintContext): string {
  if (model.opset <= OLDER) return ''
  const had = nodes.filter((node) => node.domain === '' && operators?.has('', node.opType, OLDER))
  const ops = [...new Set(had.map(({ opType }) => opType))].sort()
  return ops.length ? `Export the model with opset ${OLDER}, in which there are kernels for ${ops.join(', ')}. ` : ''
}

/** An opset that kernels of all devices are made for. */
const OLDER = 21

/** Tensors that the GPU has computed and the CPU reads, and the other way round. Each is copied once, however many read it. */
function copies(onCpu: ReadonlySet<Node>): { down: Set<Value>; up: Set<Value> } {
  const down = new Set<Value>()
  const up = new Set<Value>()
  for (const node of onCpu) {
    // What the caller feeds lies in the CPU's memory, and so do shapes.
    for (const value of node.inputs) {
      const { producer } = value ?? {}
      if (value && producer && !value.constant && !onCpu.has(producer) && isFloat(producer)) down.add(value)
    }
    for (const value of node.outputs) if (value?.users.some((user) => !onCpu.has(user) && isFloat(user))) up.add(value)
  }
  return { down, up }
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}

/** Shapes and other integers are computed on the CPU anyway, and what depends on constants alone is computed when the model is loaded. */
function isFloat(node: Node): boolean {
  if (node.inputCount && node.inputs.every((value) => !value || value.constant)) return false
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
