import { string } from '../attributes.ts'
import type { Node } from '../node.ts'
import { Tensor } from '../tensor.ts'
import type { Value } from '../value.ts'

/** What an operator needs to mean the same from an operator set on. */
export interface Change {
  since: number
  /** The change cannot be made for this node. */
  blocks?(node: Node): boolean
  convert?(node: Node): void
}

/** Operators whose attributes became inputs up to opset 11, and those that have another name since. */
export const OLD_CHANGES: Readonly<Record<string, readonly Change[]>> = {
  Clip: [{ since: 11, convert: clip }],
  Pad: [{ since: 11, convert: pad }],
  Scatter: [{ since: 11, convert: (node) => rename(node, 'ScatterElements') }],
  Slice: [{ since: 10, convert: slice }],
  TopK: [{ since: 10, convert: (node) => numbers(node, 'k', 1) }],
  Upsample: [{ since: 10, blocks: (node) => !scalesOf(node), convert: resize }],
  Resize: [{ since: 11, blocks: (node) => !scalesOf(node)?.every((scale) => scale >= 1), convert: resize }],
}

function rename(node: Node, opType: string): void {
  node.opType = opType
}

function constant(node: Node, name: string, tensor: Tensor): Value {
  return node.graph.addInitializer(`${node.output().name}_${name}`, tensor)
}

/** Whole numbers of an attribute as an input. */
function numbers(node: Node, name: string, index: number): void {
  const isOne = node.attributes.get(name)?.kind === 'int'
  const values = isOne ? [node.int(name, 0)] : node.ints(name)
  node.attributes.delete(name)
  // "To the end" is written as the largest of 64 bits.
  const safe = (value: number) => Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value))
  if (values) node.setInput(index, constant(node, name, Tensor.int64(values.map(safe))))
}

/** A number of an attribute as an input, of the type of the first. */
function scalar(node: Node, name: string, index: number): void {
  if (node.attributes.has(name))
    node.setInput(
      index,
      constant(node, name, Tensor.from(node.input(0)!.dtype ?? 'float32', [], [node.float(name, 0)])),
    )
  node.attributes.delete(name)
}

function clip(node: Node): void {
  scalar(node, 'min', 1)
  scalar(node, 'max', 2)
}

function pad(node: Node): void {
  numbers(node, 'pads', 1)
  scalar(node, 'value', 2)
}

function slice(node: Node): void {
  numbers(node, 'starts', 1)
  numbers(node, 'ends', 2)
  numbers(node, 'axes', 3)
}

/** Constant factors, an input or before opset 9 an attribute. */
function scalesOf(node: Node): readonly number[] | undefined {
  return node.floats('scales') ?? node.input(1)?.tensor?.toNumbers()
}

/** Positions were counted from the corner of the image, and rounded down where it gets larger. */
function resize(node: Node): void {
  const scales = node.input(1) ?? constant(node, 'scales', Tensor.float32([scalesOf(node)!.length], scalesOf(node)!))
  rename(node, 'Resize')
  node.attributes.delete('scales')
  node.attributes.set('coordinate_transformation_mode', string('asymmetric'))
  node.attributes.set('nearest_mode', string('floor'))
  node.setInputs([node.input(0)!, null, scales])
}
