import type { Node } from '../../graph/node.ts'

/** How patterns of node names are read: `*` goes across `/`. */
export const GLOB = { bash: true, dot: true } as const

/** What a node is known by: its name, and those of its outputs. */
export function namesOf(node: Node): string[] {
  return [node.name, ...node.outputs.map((value) => value?.name ?? '')].filter((name) => name !== '')
}
