import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { PassContext, PassResult } from '../pass.ts'
import { inlineConstantIfs } from './constant-if.ts'
import { removeDeadCode } from './dead-code.ts'
import { mergeConstants } from './duplicate-constants.ts'
import { eliminateNoOps, equalOf } from './eliminate.ts'
import { Facts, guessFacts, inferFacts } from './facts.ts'
import { affordable, foldConstants } from './fold/constants.ts'
import { foldableNodes } from './fold/foldable.ts'
import { foldShapes, knownShapes } from './fold/known-elements.ts'
import { reshapeConstants } from './fold/reshaped-constants.ts'
import { separateNames } from './shadowed-names.ts'
import { mergeSubexpressions } from './subexpressions.ts'

/** How many edits of each kind were made. */
type Counts = Record<
  'deadCode' | 'noOps' | 'constants' | 'subexpressions' | 'shapes' | 'folded' | 'branches' | 'renamed',
  number
>

/** Rounds are few in practice: each makes the graph smaller. */
const MOST_ROUNDS = 100

/** Runs all clean-ups until nothing changes any more. ONNX Runtime is asked for types only if some clean-up depends on them. */
export async function run(model: Model, _options: unknown, { ort }: Pick<PassContext, 'ort'>): Promise<PassResult> {
  const counts: Counts = {
    renamed: 0,
    deadCode: 0,
    noOps: 0,
    constants: 0,
    subexpressions: 0,
    shapes: 0,
    folded: 0,
    branches: 0,
  }
  let facts = new Facts()
  let isStale = true // asking ONNX Runtime (again) may tell more
  const refused = new Set<Node>()
  for (let round = 0; round < MOST_ROUNDS; round++) {
    facts.isWanted = false
    let changes = simplify(model, facts, counts)
    if (!changes) {
      changes = await foldConstants(model.graph, facts, ort, refused)
      counts.folded += changes
    }
    if (changes) isStale = true
    else if (facts.isWanted && isStale && mayTellMore(model, refused)) {
      facts = await inferFacts(model, ort)
      isStale = false
    } else break
  }
  const data = Object.fromEntries(Object.entries(counts).filter(([, count]) => count))
  return { changes: Object.values(counts).reduce((sum, count) => sum + count, 0), data }
}

/** False if whatever ONNX Runtime's inference could say would lead to nothing. */
function mayTellMore(model: Model, refused: ReadonlySet<Node>): boolean {
  const guess = guessFacts(model)
  for (const graph of model.graph.allGraphs()) {
    for (const node of graph.nodes()) if (equalOf(node, guess)) return true
    for (const _ of knownShapes(graph, guess)) return true
    if (affordable(foldableNodes(graph, refused), guess).size) return true
  }
  return guess.isWanted
}

function simplify(model: Model, facts: Facts, counts: Counts): number {
  let changes = 0
  const add = (kind: keyof Counts, count: number): void => {
    counts[kind] += count
    changes += count
  }
  add('deadCode', removeDeadCode(model))
  const roots = [model.graph, ...model.functions.map(({ graph }) => graph)]
  for (const graph of roots) {
    for (const inner of graph.allGraphs()) add('noOps', eliminateNoOps(inner, facts))
    add('branches', inlineConstantIfs(graph))
    add('constants', mergeConstants(graph))
    add('subexpressions', mergeSubexpressions(graph))
    add('folded', reshapeConstants(graph))
    add('shapes', foldShapes(graph, facts))
  }
  if (changes) add('renamed', separateNames(model))
  return changes
}
