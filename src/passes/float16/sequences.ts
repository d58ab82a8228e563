import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import type { Acceptance } from './probe.ts'

/** Operators of sequences that have kernels for every element type. */
const CONVERTIBLE = new Set([
  ...['SequenceConstruct', 'SequenceEmpty', 'SequenceInsert', 'SequenceErase', 'SequenceAt', 'SequenceLength'],
  'ConcatFromSequence',
])

/** Those of them that make a sequence of nothing, and those that give one. */
const MAKES = new Set(['SequenceConstruct', 'SequenceEmpty'])
const GIVES = new Set([...MAKES, 'SequenceInsert', 'SequenceErase'])

/**
 * The nodes around sequences of floats. All elements of a sequence have one type, so a sequence changes as a whole with all
 * that make it and read it: where one of them can not, where a sequence is an input or output of the model, or goes into the
 * body of a Loop, none does.
 *
 * @param isBlocked nodes that stay float32
 */
export function sequenceNodes(model: Model, isBlocked: (node: Node) => boolean): Map<Node, Acceptance> {
  const found = new Map<Node, Acceptance>()
  const seen = new Set<Node>()
  for (const start of model.graph.allNodes()) {
    if (seen.has(start) || !(CONVERTIBLE.has(start.opType) && start.domain === '')) continue
    const { nodes, isClosed } = cluster(start)
    for (const node of nodes) seen.add(node)
    const floats = [...nodes].flatMap((node) => [...node.inputs, ...node.outputs])
    const isFloat = floats.some((value) => value?.dtype === 'float32')
    if (!isClosed || !isFloat || [...nodes].some(isBlocked)) continue
    for (const node of nodes) found.set(node, acceptance(node))
  }
  return found
}

/** All nodes that are connected by sequences, and whether these are theirs alone and can be converted. */
function cluster(start: Node): { nodes: Set<Node>; isClosed: boolean } {
  const nodes = new Set([start])
  let isClosed = true
  for (const node of nodes) {
    if (node.domain !== '' || !CONVERTIBLE.has(node.opType)) {
      isClosed = false
      continue
    }
    for (const value of sequencesOf(node)) {
      if (!value.producer || value.isOutput || value.graph !== node.graph) isClosed = false
      if (value.producer) nodes.add(value.producer)
      for (const user of value.users) {
        nodes.add(user)
        if (user.graph !== value.graph) isClosed = false
      }
    }
  }
  return { nodes, isClosed }
}

/** The sequences that a node reads or gives; none for operators that can not be converted. */
export function sequencesOf(node: Node): Value[] {
  if (!CONVERTIBLE.has(node.opType) || node.domain !== '') return []
  const given = GIVES.has(node.opType) ? node.outputs[0] : undefined
  const read = MAKES.has(node.opType) ? undefined : node.input(0)
  return [given, read].filter((value) => value !== null && value !== undefined)
}

function acceptance(node: Node): Acceptance {
  const isFloat = (value: Value | null): boolean => value?.dtype === 'float32'
  return { inputs: node.inputs.map(isFloat), outputs: node.outputs.map(isFloat) }
}
