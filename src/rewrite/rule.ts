import type { Graph } from '../graph/graph.ts'
import type { Model } from '../graph/model.ts'
import type { Node } from '../graph/node.ts'
import type { Dim } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import type { DType } from '../onnx/dtypes.ts'
import type { Build, OpBuilder } from './build.ts'
import { type Failure, type Formula, formula, type Nothing, type Pattern, Roots, rootOps, sizeOf } from './pattern.ts'

/** What check and replace know besides the captures. */
export interface MatchInfo {
  /** The value that the match computes: the first root. */
  root: Value
  /** Its node. */
  node: Node
  /** Dimensions by the names that `shaped` gave them. */
  dims: Readonly<Record<string, Dim>>
  model: Model
  graph: Graph
  /** Version of the standard operator set that holds for this graph. */
  opset: number
  /** True if the target can run an operator (qualified name), for the root's element type unless another is given. */
  can(op: string, dtype?: DType): boolean
  /** True if something outside the match reads a value of it (one that is `replaced` or `shared`). */
  isReadOutside(value: Value): boolean
}

/** What replace has besides that. */
export interface Replace extends MatchInfo, Build {
  /** The first operator of the rule's `emits` that the target can run. */
  emit: OpBuilder
  /** Its qualified name. */
  emitted: string
}

/**
 * What takes the place of the match: the value for the root, the outputs for the root's node (as `create` returns them), or values
 * by the names of captures (`root` is the root).
 */
export type Replacement = Value | readonly (Value | null)[] | { readonly [capture: string]: Value } | Failure

/** The three parts of a rule, in the order in which they are read. */
export interface RuleSpec<B extends object, D extends object> {
  /** Kebab-case, unique. */
  name: string
  /** One line: from what to what. */
  doc: string
  /** Operators that may come out, best first: the rule is off where the target runs none. Empty: only operators of the match. */
  emits?: readonly string[]
  /** True if what the replacement reads may be moved up with it, where captures that it replaces are read before that. */
  lifts?: boolean
  /** The formula. It is read once, when the rule is made. */
  match: (words: Formula) => Pattern<B> | Roots<B>
  /** True, a reason (`no(...)`), or facts that replace needs: they are added to its argument. */
  check?: (match: B & MatchInfo) => boolean | Failure | D
  replace: (match: B & D & Replace) => Replacement
}

/** A rule, ready to run. Rules hold no state and may run in any number of models at once. */
export interface Rule {
  readonly name: string
  readonly doc: string
  readonly emits: readonly string[]
  readonly lifts: boolean
  readonly patterns: readonly Pattern<object>[]
  /** Qualified operators that the first root may come from. */
  readonly anchors: ReadonlySet<string>
  /** Nodes of a full match. */
  readonly size: number
  readonly check: ((match: never) => boolean | Failure | object) | undefined
  readonly replace: (match: never) => Replacement
}

const RESERVED = new Set([
  'root',
  'node',
  'dims',
  'model',
  'graph',
  'opset',
  'can',
  'isReadOutside',
  'op',
  'ms',
  'create',
  'constant',
  'emit',
  'emitted',
])

/**
 * Makes a rule. Throws where the formula can't work: no operator at its root, a name that means something else.
 */
export function rule<B extends object, D extends object = Nothing>(spec: RuleSpec<B, D>): Rule {
  const formulas = spec.match(formula)
  const patterns = formulas instanceof Roots ? formulas.patterns : [formulas]
  const anchors = patterns[0] && rootOps(patterns[0])
  if (!anchors?.size) throw new Error(`rule ${spec.name}: the root must be an operator`)
  for (const pattern of patterns) checkNames(pattern, spec.name)
  return {
    name: spec.name,
    doc: spec.doc,
    emits: spec.emits ?? [],
    lifts: spec.lifts ?? false,
    patterns,
    anchors,
    size: sizeOf(patterns),
    check: spec.check as Rule['check'],
    replace: spec.replace as Rule['replace'],
  }
}

function checkNames({ name, spec, isReplaced }: Pattern<object>, rule: string): void {
  const tag = spec.kind === 'either' ? spec.tag : undefined
  if (isReplaced && name === undefined) throw new Error(`rule ${rule}: a replaced value needs a name`)
  for (const used of [name, tag])
    if (used !== undefined && RESERVED.has(used)) throw new Error(`rule ${rule}: nothing can be called "${used}"`)
  if (spec.kind === 'node') for (const input of spec.node.inputs) checkNames(input, rule)
  else if (spec.kind === 'chain') for (const term of spec.terms) checkNames(term, rule)
  else if (spec.kind === 'either') for (const [, option] of spec.options) checkNames(option, rule)
  else if (spec.kind === 'maybe' || spec.kind === 'given') checkNames(spec.inner, rule)
}
