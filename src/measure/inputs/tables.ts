import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'

/** Operators that pass indices on. */
const TRANSPARENT = new Set([
  'Cast',
  'Identity',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Transpose',
  'Concat',
  'Slice',
])

/**
 * How many entries the table has that an integer input looks up: the smallest of those that its values reach through Gather
 * or EmbedLayerNormalization. Undefined if it reaches none.
 */
export function tableSize(input: Value): number | undefined {
  let smallest: number | undefined
  const found = (size: number | undefined): void => {
    if (size !== undefined) smallest = Math.min(smallest ?? size, size)
  }
  const seen = new Set<Value>([input])
  for (const value of seen) {
    for (const { node, index } of value.uses) {
      found(entries(node, index))
      if (TRANSPARENT.has(node.opType) && (index === 0 || node.is('Concat')))
        for (const output of node.outputs) if (output) seen.add(output)
    }
  }
  return smallest
}

function entries(node: Node, index: number): number | undefined {
  const dimension = (table: Value | undefined, axis: number): number | undefined => {
    const size = table?.shape?.at(axis)
    return typeof size === 'number' ? size : undefined
  }
  if (node.is('Gather') && index === 1) return dimension(node.input(0), node.int('axis', 0))
  if (node.is('EmbedLayerNormalization', 'com.microsoft') && index < 2) return dimension(node.input(index + 2), 0)
  if (node.is('GatherBlockQuantized', 'com.microsoft') && index === 1)
    return dimension(node.input(0), node.int('gather_axis', 0))
  if (node.is('OneHot') && index === 0) return node.input(1)?.constant?.scalar()
  return undefined
}
