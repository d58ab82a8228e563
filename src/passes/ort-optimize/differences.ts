import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { attributesKey } from '../clean/fingerprint.ts'

/**
 * How many nodes one of two models has that the other has not. Constants may be nodes or initializers, and nodes may have other
 * names and another order.
 */
export function differences(before: Model, after: Model): number {
  const counts = new Map<string, number>()
  for (const [model, step] of [
    [before, 1],
    [after, -1],
  ] as const)
    for (const node of model.allNodes())
      if (!node.is('Constant')) counts.set(keyOf(node), (counts.get(keyOf(node)) ?? 0) + step)
  return [...counts.values()].reduce((sum, count) => sum + Math.abs(count), 0)
}

function keyOf(node: Node): string {
  const names = [...node.inputs, null, ...node.outputs].map((value) => value?.name ?? '')
  return [node.qualifiedType, attributesKey(node) ?? '', ...names].join('\0')
}
