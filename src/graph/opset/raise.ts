import { int } from '../attributes.ts'
import type { Model } from '../model.ts'
import type { Node } from '../node.ts'
import { Tensor } from '../tensor.ts'
import { blockersOf } from './blockers.ts'
import { type Change, OLD_CHANGES } from './older.ts'

const REDUCTIONS = [
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSumSquare',
]

/** Operators whose form or meaning changed between 12 and 21. New element types, and attributes that default to what was before, are no change. */
const CHANGES: Readonly<Record<string, readonly Change[]>> = {
  Squeeze: [{ since: 13, convert: (node) => toInput(node, 'axes') }],
  Unsqueeze: [{ since: 13, convert: (node) => toInput(node, 'axes') }],
  ReduceSum: [{ since: 13, convert: (node) => toInput(node, 'axes') }],
  ...Object.fromEntries(REDUCTIONS.map((op) => [op, [{ since: 18, convert: (node: Node) => toInput(node, 'axes') }]])),
  Split: [
    { since: 13, convert: (node) => toInput(node, 'split') },
    { since: 18, convert: countOutputs },
  ],
  Softmax: [{ since: 13, convert: alongLast }],
  LogSoftmax: [{ since: 13, convert: alongLast }],
  Hardmax: [{ since: 13, convert: alongLast }],
  Dropout: [{ since: 12, convert: (node) => void node.attributes.delete('ratio') }],
  BatchNormalization: [{ since: 14, blocks: (node) => node.outputs.length > 1 }],
  Resize: [{ since: 13, blocks: (node) => node.string('coordinate_transformation_mode') === 'tf_half_pixel_for_nn' }],
  RoiAlign: [{ since: 16, blocks: () => true }],
  GridSample: [
    { since: 20, blocks: (node) => node.string('mode', 'linear') !== 'nearest' && node.attributes.has('mode') },
  ],
  DFT: [{ since: 20, blocks: () => true }],
  GroupNormalization: [{ since: 21, blocks: () => true }],
}

/** Version of the file format that belongs to an operator set. */
function irVersionOf(opset: number): number {
  return opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 15 ? 8 : 7
}

/**
 * Raises a model to a higher operator set (at most 21), adapting nodes so that they compute the same. Types and ranks should be
 * known.
 *
 * @returns operator types that stand against it, in which case nothing was changed; empty if it is done
 */
export function raiseOpset(model: Model, target: number): string[] {
  const { opset } = model
  if (opset >= target) return []
  const blockers = new Set(blockersOf(model, target).filter((op) => !Object.hasOwn(OLD_CHANGES, op)))
  const conversions: (() => void)[] = []
  for (const node of model.allNodes()) {
    if (node.domain !== '' && node.domain !== 'ai.onnx') continue
    for (const { since, blocks, convert } of [...(OLD_CHANGES[node.opType] ?? []), ...(CHANGES[node.opType] ?? [])]) {
      if (opset >= since || since > target) continue
      if (blocks?.(node)) blockers.add(node.opType)
      else if (convert) conversions.push(() => convert(node))
    }
  }
  // Bodies of functions have operator sets of their own.
  if (model.functions.length) blockers.add('functions')
  if (blockers.size) return [...blockers].sort()
  for (const convert of conversions) convert()
  model.opsets.delete('ai.onnx')
  model.opsets.set('', target)
  model.irVersion = Math.max(model.irVersion, irVersionOf(target))
  return []
}

/** An attribute that became the second input. */
function toInput(node: Node, name: string): void {
  const values = node.ints(name)
  node.attributes.delete(name)
  if (values) node.setInput(1, node.graph.addInitializer(`${node.output().name}_${name}`, Tensor.int64(values)))
}

/** Equal parts must say how many from 18 on. */
function countOutputs(node: Node): void {
  if (!node.input(1) && !node.attributes.has('num_outputs'))
    node.attributes.set('num_outputs', int(node.outputs.length))
}

/**
 * Before 13 everything from the axis on was one. That is the same for the last axis alone; where the axis is another, or nobody knows
 * how many there are, the input is made flat for it.
 */
function alongLast(node: Node): void {
  const axis = node.int('axis', 1)
  const x = node.input(0)!
  node.attributes.set('axis', int(-1))
  if (axis === -1 || (x.rank !== undefined && axis === x.rank - 1)) return
  const { graph, opType } = node
  const before = { before: node }
  const flat = graph.insert({ op: 'Flatten', inputs: [x], attributes: { axis: int(axis) } }, before)
  const result = graph.insert({ op: opType, inputs: [flat.output()], attributes: { axis: int(-1) } }, before)
  const shape = graph.insert({ op: 'Shape', inputs: [x] }, before)
  node.opType = 'Reshape'
  node.attributes.clear()
  node.setInputs([result.output(), shape.output()])
}
