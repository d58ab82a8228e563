import type { Graph } from '../graph/graph.ts'
import type { Node } from '../graph/node.ts'
import type { Dim } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import { attributeMismatch } from './attributes.ts'
import {
  constantOf,
  defaultTolerance,
  isNear,
  sameDim,
  sameShape,
  uniformNumber,
  withoutIdentity,
} from './constants.ts'
import { qualified } from './ops.ts'
import { Failure, type NodeSpec, type Pattern, type Spec } from './pattern.ts'

/** Steps that one anchor may take before the search gives up on it: exponential patterns must not stop a build. */
const STEP_LIMIT = 100_000
/** Complete matches that check may refuse at one anchor. */
const REFUSAL_LIMIT = 32
/** Uses that are looked at to find a further root. */
const FAN_OUT_LIMIT = 128

/** The furthest that a search got. */
export interface Miss {
  /** Nodes matched before it failed. */
  matched: number
  pattern: Pattern<object> | undefined
  value: Value | undefined
  failure: Failure | undefined
}

/** How a value takes part in a product or sum: as it is, or as divisor or subtrahend. */
type Sense = 'plain' | 'inverse'
interface Leaf {
  readonly value: Value
  /** The node that reads the value. */
  readonly reader: Node
  readonly sense: Sense
}
type Continue = () => boolean

const ELEMENTWISE = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow'])

/** The operator's key in rules and tables; the standard domain has two spellings in files. */
export function keyOf(node: Node): string {
  return qualified(node.domain === 'ai.onnx' ? '' : node.domain, node.opType)
}

/**
 * One search at one anchor: a backtracking match in continuation-passing style. All state lives here, so that rules are
 * re-entrant; what a failed branch bound is undone through the trail.
 */
export class Search {
  readonly graph: Graph
  /** Matched nodes in match order; true where the pattern allows other readers. */
  readonly nodes: Map<Node, boolean> = new Map()
  readonly captures: Map<string, unknown> = new Map()
  readonly dims: Map<string, Dim> = new Map()
  readonly roots: Value[] = []
  /** Values beside the roots that the replacement makes too. */
  readonly replaced: Map<Value, true> = new Map()
  readonly best: Miss = { matched: -1, pattern: undefined, value: undefined, failure: undefined }
  readonly #bound = new Map<Spec | NodeSpec, Value | Node>()
  readonly #trail: { map: Map<unknown, unknown>; key: unknown }[] = []
  #steps = 0
  #refusals = 0

  constructor(graph: Graph) {
    this.graph = graph
  }

  /**
   * Looks for the patterns with the first one's value computed by `anchor`. `accept` sees each complete match and may refuse it,
   * upon which the search goes on.
   *
   * @returns true if a match was accepted
   */
  run(patterns: readonly Pattern<object>[], anchor: Node, accept: () => Failure | undefined): boolean {
    const first = patterns[0]!
    const value = anchor.outputs[first.spec.kind === 'node' ? first.spec.output : 0]
    if (!value || value.isUnused) return false
    return this.#root(patterns, 0, value, () => {
      const failure = accept()
      if (!failure) return true
      this.#refusals++
      if (failure.reason) this.#miss(undefined, undefined, failure)
      return false
    })
  }

  #root(patterns: readonly Pattern<object>[], index: number, value: Value, done: Continue): boolean {
    return this.#match(patterns[index]!, { value, reader: value.producer!, sense: 'plain' }, () => {
      this.roots[index] = value
      const next = patterns[index + 1]
      if (!next) return done()
      for (const candidate of this.#candidates(next))
        if (!this.roots.slice(0, index + 1).includes(candidate) && this.#root(patterns, index + 1, candidate, done))
          return true
      this.#miss(next, undefined, undefined)
      return false
    })
  }

  /** Values that a further root may be: found by walking up from a value that is already known. */
  #candidates(pattern: Pattern<object>): Value[] {
    const path = this.#pathFrom(pattern)
    if (!path) return []
    let values = [path.start]
    for (const { ops } of path.steps) {
      const next = new Set<Value>()
      let looked = 0
      for (const value of values)
        for (const { node } of value.uses) {
          if (++looked > FAN_OUT_LIMIT) break
          if (node.graph === this.graph && ops.has(keyOf(node)))
            for (const output of node.outputs) if (output) next.add(output)
        }
      values = [...next]
    }
    return values
  }

  #pathFrom(pattern: Pattern<object>): { start: Value; steps: NodeSpec[] } | undefined {
    const { spec, name } = pattern
    const known = this.#bound.get(spec) ?? (name === undefined ? undefined : this.captures.get(name))
    if (known && typeof known === 'object' && 'uses' in known) return { start: known as Value, steps: [] }
    if (spec.kind !== 'node') return undefined
    for (const input of spec.node.inputs) {
      const path = this.#pathFrom(input)
      if (path) return { start: path.start, steps: [...path.steps, spec.node] }
    }
    return undefined
  }

  #miss(pattern: Pattern<object> | undefined, value: Value | undefined, failure: Failure | undefined): false {
    const { best } = this
    const matched = this.nodes.size
    if (matched > best.matched || (matched === best.matched && failure && !best.failure))
      Object.assign(best, { matched, pattern, value, failure })
    return false
  }

  #bind(map: Map<unknown, unknown>, key: unknown, value: unknown): void {
    if (map.has(key)) return
    map.set(key, value)
    this.#trail.push({ map, key })
  }

  #undo(mark: number): void {
    while (this.#trail.length > mark) {
      const { map, key } = this.#trail.pop()!
      map.delete(key)
    }
  }

  #match(pattern: Pattern<object>, leaf: Leaf | undefined, done: Continue): boolean {
    if (++this.#steps > STEP_LIMIT || this.#refusals > REFUSAL_LIMIT) return false
    const { spec } = pattern
    if (spec.kind === 'given') return leaf ? this.#match(spec.inner, leaf, done) : done()
    if (spec.kind === 'absent') return leaf ? this.#miss(pattern, leaf.value, undefined) : done()
    if (!leaf) return this.#miss(pattern, undefined, undefined)
    const mark = this.#trail.length
    const seesIdentity = spec.kind === 'node' && spec.node.ops.has('Identity')
    const value = seesIdentity ? leaf.value : withoutIdentity(leaf.value)
    if (this.#enter(pattern, value) && this.#descend(pattern, { ...leaf, value }, done)) return true
    this.#undo(mark)
    return false
  }

  /** What is said about the value itself: same as before, name, tests, dims. */
  #enter(pattern: Pattern<object>, value: Value): boolean {
    const { spec, name, tests, dims } = pattern
    const known = this.#bound.get(spec)
    if (known && known !== value)
      return this.#miss(pattern, value, new Failure(`is not the same value as ${label(known)}`, value))
    if (name !== undefined && spec.kind !== 'number') {
      const captured = this.captures.get(name)
      if (captured !== undefined && captured !== value)
        return this.#miss(pattern, value, new Failure(`is not the same value as ${name}`, value))
      this.#bind(this.captures, name, value)
    }
    for (const test of tests) {
      const verdict = test(value)
      if (verdict !== true) return this.#miss(pattern, value, verdict || new Failure('was refused', value))
    }
    this.#bind(this.#bound, spec, value)
    if (pattern.isReplaced) this.#bind(this.replaced, value, true)
    return !dims || this.#unify(pattern, dims, value)
  }

  #unify(pattern: Pattern<object>, dims: readonly (string | number)[], value: Value): boolean {
    const { shape } = value
    const refuse = (reason: string): false => this.#miss(pattern, value, new Failure(reason, value))
    if (!shape) return refuse(`has an unknown rank, not [${dims}]`)
    if (shape.length !== dims.length) return refuse(`has the shape [${shape}], not [${dims}]`)
    for (const [i, wanted] of dims.entries()) {
      if (wanted === '_') continue
      const found = shape[i]!
      const expected = typeof wanted === 'number' ? wanted : this.dims.get(wanted)
      if (expected === undefined) this.#bind(this.dims, wanted, found)
      else if (!sameDim(found, expected)) {
        const bound = typeof wanted === 'string' ? ` with ${wanted} = ${expected}` : ''
        return refuse(`has the shape [${shape}], not [${dims}]${bound}`)
      }
    }
    return true
  }

  #descend(pattern: Pattern<object>, leaf: Leaf, done: Continue): boolean {
    const { spec } = pattern
    const { value, sense } = leaf
    switch (spec.kind) {
      case 'either':
        for (const [tag, option] of spec.options) {
          const mark = this.#trail.length
          if (spec.tag !== undefined) this.#bind(this.captures, spec.tag, tag)
          if (this.#match(option, leaf, done)) return true
          this.#undo(mark)
        }
        return false
      case 'number':
        return this.#number(pattern, leaf) && done()
      case 'maybe': {
        const node = value.producer
        if (sense === 'plain' && node?.graph === this.graph && spec.ops.has(keyOf(node)) && node.input(0)) {
          const mark = this.#trail.length
          this.#bind(this.nodes, node, pattern.mayBeShared)
          if (this.#maybeInner(pattern, node, done)) return true
          this.#undo(mark)
        }
        return this.#match(spec.inner, leaf, done)
      }
    }
    if (sense === 'inverse') return this.#miss(pattern, value, undefined)
    switch (spec.kind) {
      case 'any':
        return done()
      case 'constant':
        return constantOf(value) ? done() : this.#miss(pattern, value, undefined)
      case 'node':
        return this.#node(pattern, spec.node, spec.output, value, done)
      case 'chain':
        return this.#chain(pattern, spec, value, done)
      default:
        throw new Error(`rest() can't stand here`)
    }
  }

  /** The optional nodes may repeat: the value before one is matched by the same pattern, without its name. */
  #maybeInner(pattern: Pattern<object>, node: Node, done: Continue): boolean {
    const inner: Leaf = { value: withoutIdentity(node.input(0)!), reader: node, sense: 'plain' }
    return this.#descend(pattern, inner, done)
  }

  #number(pattern: Pattern<object>, { value, reader, sense }: Leaf): boolean {
    const { spec, name } = pattern
    if (spec.kind !== 'number') return false
    const tensor = constantOf(value)
    const found = tensor && uniformNumber(tensor)
    if (found === undefined) return this.#miss(pattern, value, undefined)
    const number = sense === 'plain' ? found : keyOf(reader) === 'Div' ? 1 / found : -found
    if (
      spec.near !== undefined &&
      !isNear(number, spec.near, spec.tolerance ?? defaultTolerance(spec.near), tensor!.dtype)
    )
      return this.#miss(pattern, value, undefined)
    if (broadens(reader, value, tensor!.dims))
      return this.#miss(pattern, value, new Failure('may change the shape', value))
    if (name === undefined) return true
    const captured = this.captures.get(name)
    if (captured !== undefined && captured !== number)
      return this.#miss(pattern, value, new Failure(`is not ${captured} as ${name} is elsewhere`, value))
    this.#bind(this.captures, name, number)
    return true
  }

  #node(pattern: Pattern<object>, spec: NodeSpec, output: number, value: Value, done: Continue): boolean {
    const node = value.producer
    if (node?.graph !== this.graph || value.outputIndex !== output || !spec.ops.has(keyOf(node)))
      return this.#miss(pattern, value, undefined)
    const known = this.#bound.get(spec)
    if (known) return known === node ? done() : this.#miss(pattern, value, new Failure('is not the same node', value))
    const { inputs, attributes } = spec
    const open = inputs.at(-1)?.spec.kind === 'rest'
    if (!open && node.inputCount > inputs.length)
      return this.#miss(pattern, value, new Failure(`has ${node.inputCount} inputs, not ${inputs.length}`, node))
    const mismatch = attributes && attributeMismatch(node, attributes)
    if (mismatch) return this.#miss(pattern, value, mismatch)
    this.#bind(this.#bound, spec, node)
    this.#bind(this.nodes, node, pattern.mayBeShared)
    const wanted = open ? inputs.slice(0, -1) : inputs
    const leaves = wanted.map((_, i) => leafOf(node, i))
    if (!spec.commutes) return this.#inputs(wanted, leaves, 0, done)
    const [a, b] = wanted as [Pattern<object>, Pattern<object>]
    const straight = this.#promising(a, leaves[0]) && this.#promising(b, leaves[1])
    const swapped = this.#promising(a, leaves[1]) && this.#promising(b, leaves[0])
    // Where neither order can match, trying one tells the reader of the report what was in the way.
    if ((straight || !swapped) && this.#inputs(wanted, leaves, 0, done)) return true
    return swapped && this.#inputs(wanted, [leaves[1], leaves[0]], 0, done)
  }

  #inputs(
    patterns: readonly Pattern<object>[],
    leaves: readonly (Leaf | undefined)[],
    at: number,
    done: Continue,
  ): boolean {
    const pattern = patterns[at]
    if (!pattern) return done()
    return this.#match(pattern, leaves[at], () => this.#inputs(patterns, leaves, at + 1, done))
  }

  /** A cheap look ahead: could the pattern match here at all? */
  #promising({ spec }: Pattern<object>, leaf: Leaf | undefined): boolean {
    if (!leaf) return spec.kind === 'absent' || spec.kind === 'given'
    const value = withoutIdentity(leaf.value)
    const known = this.#bound.get(spec)
    if (known) return known === value
    if (spec.kind === 'node')
      return (
        value.producer !== undefined && value.producer.graph === this.graph && spec.node.ops.has(keyOf(value.producer))
      )
    if (spec.kind === 'number' || spec.kind === 'constant') return constantOf(value) !== undefined
    return leaf.sense === 'plain'
  }

  #chain(pattern: Pattern<object>, spec: Spec & { kind: 'chain' }, value: Value, done: Continue): boolean {
    const first = this.#open(spec.op, { value, reader: value.producer!, sense: 'plain' })
    if (!first) return this.#miss(pattern, value, undefined)
    const grow = (leaves: readonly Leaf[], from: number): boolean => {
      if (leaves.length === spec.terms.length) return this.#assign(spec.terms, leaves, done)
      // Only leaves from the last opened one on are opened, so that each shape of the tree comes once.
      for (let i = from; i < leaves.length; i++) {
        const opened = this.#open(spec.op, leaves[i]!)
        if (!opened || this.nodes.has(opened[0]!.reader)) continue
        const mark = this.#trail.length
        this.#bind(this.nodes, opened[0]!.reader, false)
        if (grow([...leaves.slice(0, i), ...opened, ...leaves.slice(i + 1)], i)) return true
        this.#undo(mark)
      }
      return this.#miss(pattern, value, undefined)
    }
    this.#bind(this.nodes, value.producer, pattern.mayBeShared)
    return grow(first, 0)
  }

  /** The two operands of a product or sum, or of a quotient or difference with a constant on the right. */
  #open(op: 'Add' | 'Mul', { value, sense }: Leaf): readonly [Leaf, Leaf] | undefined {
    const node = withoutIdentity(value).producer
    if (sense === 'inverse' || node?.graph !== this.graph) return undefined
    const key = keyOf(node)
    const a = leafOf(node, 0)
    const b = leafOf(node, 1)
    if (!a || !b) return undefined
    if (key === op) return [a, b]
    if (key !== (op === 'Mul' ? 'Div' : 'Sub')) return undefined
    return constantOf(b.value) ? [a, { ...b, sense: 'inverse' }] : undefined
  }

  #assign(patterns: readonly Pattern<object>[], leaves: readonly Leaf[], done: Continue): boolean {
    const [pattern, ...others] = patterns
    if (!pattern) return done()
    const promising = leaves.filter((leaf) => this.#promising(pattern, leaf))
    for (const leaf of promising.length ? promising : leaves.slice(0, 1)) {
      const rest = leaves.filter((other) => other !== leaf)
      if (this.#match(pattern, leaf, () => this.#assign(others, rest, done))) return true
    }
    return false
  }
}

function leafOf(node: Node, index: number): Leaf | undefined {
  const value = node.input(index)
  return value && { value, reader: node, sense: 'plain' }
}

function label(thing: Value | Node): string {
  return 'label' in thing ? thing.label : `"${thing.name}"`
}

/** True if a uniform constant may give its partner more dimensions or elements. */
function broadens(node: Node, constant: Value, dims: readonly number[]): boolean {
  if (dims.length === 0 || !ELEMENTWISE.has(keyOf(node)) || node.inputCount !== 2) return false
  const [a, b] = node.inputs
  const partner = a && withoutIdentity(a) === constant ? b : a
  const rank = partner?.rank
  if (dims.every((dim) => dim === 1)) return rank === undefined ? dims.length > 1 : rank < dims.length
  return !sameShape(partner?.shape, node.output().shape)
}
