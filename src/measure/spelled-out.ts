import type { Attributes } from '../graph/attributes.ts'
import { float, int, ints } from '../graph/attributes.ts'
import type { NewNode } from '../graph/graph.ts'
import type { Model } from '../graph/model.ts'
import type { Node } from '../graph/node.ts'
import { Tensor } from '../graph/tensor.ts'
import { tensorType } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import { codeOf } from '../onnx/dtypes.ts'

/** Inserts an operator before the node that is spelled out. */
type Op = (op: string, inputs: readonly (Value | null)[], attributes?: Attributes) => Value

/** What a spelling works with: inputs of the node in float32, and constants. */
interface Words {
  node: Node
  op: Op
  input(index: number): Value | null
  integers(...values: readonly number[]): Value
  numbers(count: number, value: number): Value
}

const FIRST = ints([0, 3, 1, 2])
const LAST = ints([0, 2, 3, 1])

/** Group normalization with the channels last: the groups become the channels of an InstanceNormalization. */
function groupNorm({ node, op, input, integers, numbers }: Words, x: Value): Value {
  const groups = node.int('groups', 1)
  const isLast = node.int('channels_last', 1) === 1
  const first = isLast ? op('Transpose', [x], { perm: FIRST }) : x
  const grouped = op('Reshape', [first, integers(0, groups, -1)])
  const attributes = { epsilon: float(node.float('epsilon', 1e-5)) }
  const normal = op('InstanceNormalization', [grouped, numbers(groups, 1), numbers(groups, 0)], attributes)
  const last = op('Transpose', [op('Reshape', [normal, op('Shape', [first])])], { perm: LAST })
  const y = op('Add', [op('Mul', [last, input(1)]), input(2)])
  const active = node.int('activation', 0) === 1 ? op('Mul', [y, op('Sigmoid', [y])]) : y
  return isLast ? active : op('Transpose', [active], { perm: FIRST })
}

/** Fused operators of `com.microsoft` that GPUs have kernels for and CPUs do not; each gives its outputs, in float32. */
const SPELLINGS: Readonly<Record<string, (words: Words) => readonly Value[]>> = {
  BiasAdd: ({ op, input }) => [op('Add', [op('Add', [input(0), input(1)]), input(2)])],
  BiasSplitGelu({ node, op, input, integers, numbers }) {
    const sum = op('Add', [input(0), input(1)])
    const width = node.input(1)?.shape?.[0] as number
    const part = (from: number, to: number): Value => op('Slice', [sum, integers(from), integers(to), integers(-1)])
    const gate = part(width / 2, width)
    const error = op('Erf', [op('Div', [gate, numbers(1, Math.SQRT2)])])
    const gelu = op('Mul', [op('Mul', [gate, numbers(1, 0.5)]), op('Add', [error, numbers(1, 1)])])
    return [op('Mul', [part(0, width / 2), gelu])]
  },
  GroupNorm: (words) => [groupNorm(words, words.input(0)!)],
  NhwcConv({ node, op, input }) {
    const [x, weight] = [0, 1].map((index) => op('Transpose', [input(index)], { perm: FIRST }))
    const bias = input(2)
    const attributes = Object.fromEntries(node.attributes)
    return [op('Transpose', [op('Conv', [x!, weight!, ...(bias ? [bias] : [])], attributes)], { perm: LAST })]
  },
  SkipGroupNorm(words) {
    const { op, input } = words
    const bias = input(4)
    const sum = op('Add', [input(0), input(3)])
    const total = bias ? op('Add', [sum, bias]) : sum
    return [groupNorm(words, total), total]
  },
}

/**
 * Attention of a GPU takes queries, keys and values interleaved in one tensor [batch, length, heads, 3, size], or keys and values in
 * one of [.., 2, size]: the CPU takes them apart.
 */
function unpack(node: Node): boolean {
  const { graph } = node
  if (node.input(2)) return false
  const from = node.input(1) ? 1 : 0
  const packed = node.input(from)!
  const insert = (op: string, inputs: readonly Value[], attributes: Attributes = {}): Value =>
    graph.insert({ op, inputs, attributes, types: [tensorType(packed.dtype)] }, { before: node }).output()
  const sizes = graph.addInitializer('spelled', Tensor.int64([0, 0, -1]))
  for (let index = from; index < 3; index++) {
    const which = graph.addInitializer('spelled', Tensor.int64([index - from], []))
    node.setInput(index, insert('Reshape', [insert('Gather', [packed, which], { axis: int(3) }), sizes]))
  }
  return true
}

/** Back to the type that an output has; where that is not known, to that of the first input, which it is. */
function castTo(value: Value, result: Value, node: Node, opset: number): NewNode {
  const dtype = value.dtype ?? node.input(0)?.dtype
  if (dtype === undefined && opset >= 15) return { op: 'CastLike', inputs: [result, node.input(0)!] }
  const to = dtype ?? 'float32'
  return {
    op: 'Cast',
    inputs: [result],
    attributes: { to: int(codeOf(to)) },
    types: [tensorType(to, value.shape)],
  }
}

/** Puts the definitions of operators that no CPU has kernels for in their place; returns how many there were. */
export function spellOut(model: Model): number {
  let count = 0
  for (const graph of model.graph.allGraphs())
    for (const node of [...graph.nodes()]) {
      if (node.is('MultiHeadAttention', 'com.microsoft') && unpack(node)) count++
      const spelling = node.domain === 'com.microsoft' ? SPELLINGS[node.opType] : undefined
      if (!spelling) continue
      count++
      const position = { before: node }
      const op: Op = (name, inputs, attributes = {}) =>
        graph.insert({ op: name, inputs, attributes }, position).output()
      const results = spelling({
        node,
        op,
        input(index) {
          const value = node.input(index)
          if (!value) return null
          return value.dtype === 'float32' ? value : op('Cast', [value], { to: int(codeOf('float32')) })
        },
        integers: (...values) => graph.addInitializer('spelled', Tensor.int64(values)),
        numbers: (length, value) =>
          graph.addInitializer('spelled', Tensor.float32([length], Array(length).fill(value))),
      })
      for (const [i, value] of node.outputs.entries()) {
        if (!value) continue
        const cast = graph.insert(castTo(value, results[i]!, node, model.opset), position)
        node.setOutput(i, null)
        cast.setOutput(0, value)
      }
      graph.remove(node)
    }
  return count
}
