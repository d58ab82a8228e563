import type { NodeProto, TypeProto } from '../../onnx/proto.ts'
import { bodiesOf, partsOf, readsOf } from './part.ts'
import type { Skeleton } from './skeleton.ts'

/** Nodes of a piece: what opening a session takes grows faster than the number of nodes from a few thousand on. */
export const PIECE = 2000

/**
 * Operators through which ONNX Runtime follows the elements of shapes, and not only types: those with a data propagation
 * function in the standard (1.23) or in ONNX Runtime (1.30), and constants.
 */
const FOLLOWED = new Set([
  'Add',
  'Cast',
  'Concat',
  'Constant',
  'Div',
  'Gather',
  'Mul',
  'Shape',
  'Size',
  'Slice',
  'Squeeze',
  'Sub',
  'Unsqueeze',
])

/** True if what a node makes comes along with the nodes that read it, where it is a scalar or a list. */
export function isFollowed({ opType = '', domain }: { opType?: string; domain?: string }): boolean {
  return FOLLOWED.has(opType) && !domain
}

/** A part of a graph that is asked for by itself. */
export interface Piece extends Skeleton {
  /** Outputs that later pieces read. */
  handedOn: ReadonlySet<string>
}

/**
 * Cuts a graph, in its order, into pieces of about `size` nodes that give the same types as the whole. What a piece reads of
 * earlier ones it gets as inputs, with the types in `learnt`, which the caller fills with what is reported of a piece before it
 * takes the next. Computations of shapes are repeated, as their elements matter to what follows; so are producers of values
 * whose type was not learnt.
 */
export function* piecesOf(
  skeleton: Skeleton,
  learnt: ReadonlyMap<string, TypeProto>,
  size: number = PIECE,
): Generator<Piece> {
  const { graph, outputs } = skeleton
  const ranges = rangesOf(graph.node!, size)
  if (ranges.length === 1) {
    yield { ...skeleton, handedOn: new Set() }
    return
  }
  const takePart = partsOf(graph)
  const lastRead = lastReads(ranges)
  for (const [i, range] of ranges.entries()) {
    const part = takePart(range, (name, producer) => {
      const type = learnt.get(name)
      const rank = type?.tensorType?.shape?.dim?.length ?? 0
      return rank <= 1 && isFollowed(producer) ? undefined : type
    })
    const own = range.flatMap(({ output }) => output!).filter((name) => outputs.has(name))
    yield {
      graph: { ...part, output: own.map((name) => ({ name })) },
      outputs: new Map(own.map((name) => [name, outputs.get(name)!])),
      handedOn: new Set(own.filter((name) => lastRead.get(name)! > i)),
    }
  }
}

/** The last of the ranges in which a name is read, also by nodes that come along with those that read what they make. */
function lastReads(ranges: readonly NodeProto[][]): ReadonlyMap<string, number> {
  const last = new Map<string, number>()
  const lastOf = (name: string): number => last.get(name) ?? -1
  for (const [i, range] of [...ranges.entries()].reverse())
    for (const node of range.toReversed()) {
      const at = isFollowed(node) ? Math.max(i, ...node.output!.map(lastOf)) : i
      for (const name of readsOf(node)) if (lastOf(name) < at) last.set(name, at)
    }
  return last
}

/** Nodes in order, about `size` together; those of subgraphs count. */
function rangesOf(nodes: readonly NodeProto[], size: number): NodeProto[][] {
  const ranges: NodeProto[][] = []
  let room = 0
  for (const node of nodes) {
    if (room <= 0) {
      ranges.push([])
      room = size
    }
    ranges.at(-1)!.push(node)
    room -= countOf(node)
  }
  return ranges
}

function countOf(node: NodeProto): number {
  return bodiesOf(node).reduce(
    (sum, body) => sum + (body.node ?? []).reduce((inner, each) => inner + countOf(each), 0),
    1,
  )
}
