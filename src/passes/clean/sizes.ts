import type { AttributeValue } from '../../graph/attributes.ts'
import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'

/** Rough size in a file of a tensor under a name: close enough to tell whether a model grows. */
export function tensorSize(bytes: number, rank: number, name: string): number {
  return bytes + 2 * rank + Buffer.byteLength(name) + 14
}

/** Rough size of a node in a file, from below. */
export function nodeSize(node: Node): number {
  const text = (value: string): number => (value ? Buffer.byteLength(value) + 2 : 0)
  let size = 2 + text(node.name) + text(node.opType) + text(node.domain)
  for (const value of [...node.inputs, ...node.outputs]) size += value ? text(value.name) : 2
  for (const [name, attribute] of node.attributes) size += 4 + text(name) + attributeSize(attribute)
  return size
}

function attributeSize({ kind, value }: AttributeValue): number {
  if (kind === 'tensor') return ofTensor(value)
  if (kind === 'ints') return 2 * value.length
  if (kind === 'floats') return 5 * value.length
  return 3
}

function ofTensor(tensor: Tensor): number {
  return tensorSize(tensor.byteLength, tensor.dims.length, '') - 8
}
