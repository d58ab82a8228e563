import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { hasKernel } from '../../rules/legality/kernels.ts'
import { GPU_DEVICES } from '../devices.ts'
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
  const place = GPU_DEVICES.includes(context.device) ? 'GPU' : 'device'
  return finding('leaving', nodes, {
    message: `operators without a kernel${source} on ${context.device}: ${ops.join(', ')}`,
    cost: `they run on the CPU: ${count(down.size, 'tensor')} copied from the ${place}, for which it has to finish first, and ${count(up.size, 'tensor')} back${traffic}, in every run`,
    change: advice(nodes, context),
  })
}

/** What would keep the nodes on the device, as far as the list of its kernels tells. */
function advice(nodes: readonly Node[], { model, operators, device }: LintContext): string {
  const ops = (chosen: readonly Node[]) => [...new Set(chosen.map(({ opType }) => opType))].sort().join(', ')
  const parts: string[] = []
  const rest = new Set(nodes)
  const take = (is: (node: Node) => boolean) => {
    const taken = [...rest].filter(is)
    for (const node of taken) rest.delete(node)
    return taken
  }
  const fused = take((node) => node.domain === 'com.microsoft' && !isQuantizedName(node.opType))
  if (fused.length) parts.push(`Leave out the fusions that make ${ops(fused)} (\`without\`, or \`fuse=none\`).`)
  const integer = take((node) => isQuantizedName(node.opType))
  if (integer.length)
    parts.push(
      ['tensorrt', 'qnn', 'dml'].includes(device)
        ? `Quantize with \`quantize=static\` and \`quant_format=QDQ\` in place of ${ops(integer)}.`
        : `Use \`dtype=fp16\` or \`dtype=q4f16\` in place of ${ops(integer)}.`,
    )
  const typed = take((node) => {
    const opset = model.opsets.get(node.domain) ?? 1
    return !!payload(node) && operators?.has(node.domain, node.opType, opset) === true
  })
  for (const op of new Set(typed.map(({ opType }) => opType))) {
    const types = operators!.types('', op, model.opset)
    if (types) parts.push(`${op} has kernels for ${types.join(', ')}.`)
  }
  const older = model.opset > OLDER ? take((node) => !node.domain && !!operators?.has('', node.opType, OLDER)) : []
  if (older.length) parts.push(`Export the model with opset ${OLDER}, in which there are kernels for ${ops(older)}.`)
  if (rest.size)
    parts.push('Replace them by operators that the device has, or move them to the beginning or the end of the model.')
  return parts.join(' ')
}

function isQuantizedName(op: string): boolean {
  return /Quantize|Integer|^QLinear|^Q[A-Z]|NBits|Bnb4/.test(op)
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

/** Element type of the first operand that is no condition: the one that kernels are listed by. */
function payload(node: Node): string | undefined {
  return node.inputs.find((value) => value?.dtype && value.dtype !== 'bool')?.dtype
}

function isThere(node: Node, { model, operators }: LintContext): boolean {
  if (FREE.has(node.opType)) return true
  const opset = model.opsets.get(node.domain) ?? 1
  // What the CPU has no kernel for either is taken apart before kernels are looked for, or has kernels of its own.
  if (!node.domain && !hasKernel('cpu', node.opType, opset)) return true
  return operators?.has(node.domain, node.opType, opset, payload(node)) ?? true
}
