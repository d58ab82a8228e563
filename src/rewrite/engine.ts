import type { Graph } from '../graph/graph.ts'
import type { LocalFunction, Model } from '../graph/model.ts'
import type { Node } from '../graph/node.ts'
import type { DType } from '../onnx/dtypes.ts'
import { OnnxError } from '../onnx/errors.ts'
import { Builder } from './build.ts'
import { commit, replaceable } from './commit.ts'
import { type NearMiss, nearMiss } from './explain.ts'
import { Failure } from './pattern.ts'
import type { MatchInfo, Replace, Rule } from './rule.ts'
import { findEscape, readerOutside } from './safety.ts'
import { keyOf, Search } from './search.ts'

export interface RewriteOptions {
  /** Stop after so many rewrites, to find out by halving which one is wrong. Default: no limit. */
  steps?: number | undefined
  /** Throw where a rule fails, instead of going on without it. */
  strict?: boolean | undefined
  /** Whether the target can run an operator. `op` is qualified, `opset` that of the standard domain. Default: it can run all. */
  allows?: ((op: string, opset: number, dtype: DType | undefined) => boolean) | undefined
}

/** A rule that failed and was left out from then on. */
export interface RuleProblem {
  code: 'rule-failed' | 'rule-loops'
  rule: string
  node: string
  message: string
}

export interface RewriteResult {
  /** Number of rewrites. */
  changes: number
  /** Rewrites by rule, rules that did nothing left out. */
  counts: Record<string, number>
  /** For each rule that matched nothing: its best attempt. */
  nearMisses: NearMiss[]
  problems: RuleProblem[]
  /** The last rewrites in order, the very last at the end: what `steps` stopped at. */
  trail: { rule: string; node: string }[]
}

/** Length of a chain of rewrites, each of a node that the one before made without getting fewer, that only a loop reaches. */
const GENERATION_LIMIT = 500
/** How many nodes a rule may add for each that the model had, and besides: more only a loop adds. */
const GROWTH_LIMIT = { each: 4, besides: 1000 }
const TRAIL_LENGTH = 20
/** How far a rewrite is followed at once; what lies further is found by the next sweep. */
const FOLLOW_LIMIT = 24

/**
 * Runs rules over a model, its subgraphs and functions, until nothing changes. Rules of one phase compete: at each node the first
 * that fits wins. A phase starts when the one before has come to rest.
 *
 * @throws OnnxError `RULE_FAILED` or `RULE_LOOPS` with `strict`
 */
export function rewrite(
  model: Model,
  phases: readonly (readonly Rule[])[],
  options: RewriteOptions = {},
): RewriteResult {
  const run = new Run(model, options)
  for (const rules of phases) run.phase(rules)
  return run.result(phases.flat())
}

/**
 * What each rule would do where: for every node that may be its root, the near miss, or none where it would fire. The model stays
 * as it is.
 *
 * @returns near misses, best first within each rule
 */
export function explain(model: Model, rules: readonly Rule[], options: RewriteOptions = {}): NearMiss[] {
  const run = new Run(model, options)
  return rules.flatMap((rule) => run.explain(rule).sort((a, b) => b.matched - a.matched))
}

class Run {
  readonly #model: Model
  readonly #options: RewriteOptions
  readonly #counts = new Map<string, number>()
  readonly #misses = new Map<string, NearMiss>()
  readonly #disabled = new Set<string>()
  readonly #problems: RuleProblem[] = []
  readonly #trail: RewriteResult['trail'] = []
  readonly #generations = new WeakMap<Node, number>()
  readonly #functions: Map<Graph, LocalFunction>
  /** Operators of graphs, as of so many changes. */
  readonly #keys = new WeakMap<Graph, { changes: number; keys: Set<string> }>()
  /** Nodes that each rule added, less those that it removed. */
  readonly #growth = new Map<Rule, number>()
  readonly #mostGrowth: number
  #graphs: { changes: number; list: readonly Graph[] } | undefined
  #changes = 0

  constructor(model: Model, options: RewriteOptions) {
    this.#model = model
    this.#options = options
    let nodes = 0
    for (const graph of model.allGraphs()) nodes += graph.nodeCount
    this.#mostGrowth = GROWTH_LIMIT.each * nodes + GROWTH_LIMIT.besides
    this.#functions = new Map(model.functions.map((fn) => [fn.graph, fn]))
  }

  result(rules: readonly Rule[]): RewriteResult {
    const order = [...new Set(rules.map(({ name }) => name))]
    return {
      changes: this.#changes,
      counts: Object.fromEntries(
        order.filter((name) => this.#counts.has(name)).map((name) => [name, this.#counts.get(name)!]),
      ),
      nearMisses: order
        .filter((name) => !this.#counts.has(name) && this.#misses.has(name))
        .map((name) => this.#misses.get(name)!),
      problems: this.#problems,
      trail: this.#trail,
    }
  }

  get #isSpent(): boolean {
    return this.#changes >= (this.#options.steps ?? Number.POSITIVE_INFINITY)
  }

  phase(rules: readonly Rule[]): void {
    const byOp = new Map<string, Rule[]>()
    for (const rule of rules)
      for (const op of rule.anchors) {
        const list = byOp.get(op)
        if (list) list.push(rule)
        else byOp.set(op, [rule])
      }
    for (let before = -1; before !== this.#changes && !this.#isSpent; ) {
      before = this.#changes
      for (const graph of this.#allGraphs()) {
        if (!isAlive(graph) || !this.#hasAny(graph, byOp)) continue
        for (const node of graph.nodes()) {
          const queue = [node]
          // What a rewrite made is looked at again at once, so that a chain of fusions does not need a sweep for each.
          for (let at = queue.shift(); at; at = queue.shift()) if (at.isLinked) queue.push(...this.#visit(at, byOp))
          if (this.#isSpent) return
        }
      }
    }
  }

  /** The model's graphs; they are looked for again after changes only. */
  #allGraphs(): readonly Graph[] {
    if (this.#graphs?.changes !== this.#changes)
      this.#graphs = { changes: this.#changes, list: [...this.#model.allGraphs()] }
    return this.#graphs.list
  }

  /** True if the graph has a node of one of these operators. Graphs are looked through once for all phases that change nothing. */
  #hasAny(graph: Graph, byOp: ReadonlyMap<string, unknown>): boolean {
    let known = this.#keys.get(graph)
    if (known?.changes !== this.#changes) {
      known = { changes: this.#changes, keys: new Set() }
      for (const node of graph.nodes()) known.keys.add(keyOf(node))
      this.#keys.set(graph, known)
    }
    for (const op of byOp.keys()) if (known.keys.has(op)) return true
    return false
  }

  /** Tries the rules at a node; returns nodes to look at after a rewrite. */
  #visit(node: Node, byOp: ReadonlyMap<string, readonly Rule[]>): Node[] {
    for (const rule of byOp.get(keyOf(node)) ?? []) {
      if (this.#isSpent) return []
      if (this.#disabled.has(rule.name)) continue
      const created = this.#try(rule, node)
      if (created) return this.#follow(created)
    }
    return []
  }

  #follow(created: readonly Node[]): Node[] {
    const found = new Set<Node>(created)
    for (const node of found) {
      if (found.size >= FOLLOW_LIMIT) break
      for (const output of node.outputs)
        if (output && output.uses.size <= FOLLOW_LIMIT)
          for (const user of output.users) if (user.graph === node.graph) found.add(user)
    }
    return [...found]
  }

  /** @returns the nodes that were made, or undefined if the rule did not fire here */
  #try(rule: Rule, anchor: Node): readonly Node[] | undefined {
    const search = new Search(anchor.graph)
    const scope = this.#scope(anchor.graph)
    let builder: Builder | undefined
    let result: readonly Node[] = []
    let found: boolean
    try {
      found = search.run(rule.patterns, anchor, () => {
        const outcome = this.#accept(rule, anchor, search, scope, (made) => {
          builder = made
        })
        if (outcome instanceof Failure) return outcome
        result = outcome
        return undefined
      })
    } catch (error) {
      builder?.undo()
      // An attribute of the wrong kind is a fault of the model: the rule has no business at this node.
      if (error instanceof OnnxError && error.code === 'NODE_INVALID') return undefined
      this.#problem(rule, anchor, 'rule-failed', `failed: ${(error as Error).message}`, error)
      return undefined
    }
    if (!found) {
      this.#remember(rule, anchor, search)
      return undefined
    }
    this.#count(rule, anchor, search, result)
    return result
  }

  #remember(rule: Rule, anchor: Node, search: Search): void {
    if (this.#counts.has(rule.name) || search.best.matched < 0) return
    const known = this.#misses.get(rule.name)
    if (!known || search.best.matched > known.matched) this.#misses.set(rule.name, nearMiss(rule, anchor, search.best))
  }

  #scope(graph: Graph): { opset: number; fn: LocalFunction | undefined } {
    let top = graph
    while (top.owner) top = top.owner.graph
    const fn = this.#functions.get(top)
    return { fn, opset: fn ? (fn.opsets.get('') ?? fn.opsets.get('ai.onnx') ?? this.#model.opset) : this.#model.opset }
  }

  #info(anchor: Node, search: Search, opset: number): MatchInfo & Record<string, unknown> {
    const root = search.roots[0]!
    const allows = this.#options.allows ?? (() => true)
    return {
      ...Object.fromEntries(search.captures),
      root,
      node: anchor,
      dims: Object.fromEntries(search.dims),
      model: this.#model,
      graph: anchor.graph,
      opset,
      can: (op, dtype) => allows(op, opset, dtype ?? root.dtype),
      isReadOutside: (value) => readerOutside(value, search.nodes) !== undefined,
    }
  }

  /** Checks a complete match and, if all is well, carries the rewrite out. */
  #accept(
    rule: Rule,
    anchor: Node,
    search: Search,
    scope: { opset: number; fn: LocalFunction | undefined },
    started: (builder: Builder) => void,
  ): readonly Node[] | Failure {
    const reader = findEscape(search.nodes, replaceable(search))
    if (reader) return reader
    const info = this.#info(anchor, search, scope.opset)
    const verdict = this.#check(rule, info)
    if (verdict instanceof Failure) return verdict
    const emitted = rule.emits.find((op) => info.can(op))
    if (rule.emits.length && !emitted)
      return new Failure(`would become ${rule.emits.join(' or ')}, which the target can't run`, anchor)
    const domains: string[] = []
    const builder = new Builder(anchor, {
      useDomain: (domain) => void domains.push(domain),
      inFunction: scope.fn !== undefined,
    })
    started(builder)
    const emit: Replace['emit'] = (...inputs) => {
      const { op, ms } = builder
      const name = emitted ?? ''
      const table = name.startsWith('com.microsoft:') ? ms : op
      return (table as Record<string, Replace['emit']>)[name.replace('com.microsoft:', '')]!(...inputs)
    }
    const { op, ms } = builder
    const create = builder.create.bind(builder)
    const constant = builder.constant.bind(builder)
    const tools: Replace & Record<string, unknown> = {
      ...info,
      ...verdict,
      op,
      ms,
      create,
      constant,
      emit,
      emitted: emitted ?? '',
    }
    const failure = commit(rule, search, builder, tools)
    if (failure) {
      builder.undo()
      return failure
    }
    for (const domain of domains) {
      if (domain === '') continue
      this.#model.useDomain(domain)
      if (scope.fn && !scope.fn.opsets.has(domain)) scope.fn.opsets.set(domain, 1)
    }
    return builder.created
  }

  #check(rule: Rule, info: MatchInfo): object | Failure {
    const verdict = rule.check?.(info as never)
    if (verdict === false) return new Failure('was refused', info.node)
    return typeof verdict === 'object' ? verdict : {}
  }

  #count(rule: Rule, anchor: Node, search: Search, created: readonly Node[]): void {
    this.#changes++
    this.#counts.set(rule.name, (this.#counts.get(rule.name) ?? 0) + 1)
    this.#trail.push({ rule: rule.name, node: anchor.label })
    if (this.#trail.length > TRAIL_LENGTH) this.#trail.shift()
    const removed = [...search.nodes.keys()].filter((node) => !node.isLinked)
    const made = created.filter((node) => node.isLinked)
    let generation = made.length < removed.length ? 0 : 1
    for (const node of search.nodes.keys())
      generation = Math.max(generation, (this.#generations.get(node) ?? 0) + (made.length < removed.length ? 0 : 1))
    const growth = (this.#growth.get(rule) ?? 0) + made.length - removed.length
    this.#growth.set(rule, growth)
    const grows = growth > this.#mostGrowth
    const loops = generation > GENERATION_LIMIT || grows
    // With the rule gone, others that took part in the loop are innocent.
    for (const node of made) this.#generations.set(node, loops ? 0 : generation)
    const times = grows ? `it has added ${growth} nodes` : `it has rewritten the same place ${generation} times`
    if (loops) this.#problem(rule, anchor, 'rule-loops', `does not come to an end: ${times}`)
  }

  #problem(rule: Rule, node: Node, code: RuleProblem['code'], what: string, cause?: unknown): void {
    const message = `the rule ${rule.name} ${what}`
    const hint = `This is a fault of the rule, not of the model. Leave it out with without=${rule.name}.`
    if (this.#options.strict)
      throw new OnnxError(code === 'rule-loops' ? 'RULE_LOOPS' : 'RULE_FAILED', message, {
        hint,
        place: { node: node.label },
        cause,
      })
    this.#disabled.add(rule.name)
    this.#problems.push({ code, rule: rule.name, node: node.label, message })
  }

  explain(rule: Rule): NearMiss[] {
    const misses: NearMiss[] = []
    for (const graph of this.#model.allGraphs())
      for (const node of graph.nodes()) {
        if (!rule.anchors.has(keyOf(node))) continue
        const search = new Search(graph)
        const { opset } = this.#scope(graph)
        try {
          const found = search.run(rule.patterns, node, () => {
            const reader = findEscape(search.nodes, replaceable(search))
            if (reader) return reader
            const verdict = this.#check(rule, this.#info(node, search, opset))
            return verdict instanceof Failure ? verdict : undefined
          })
          if (!found && search.best.matched >= 0) misses.push(nearMiss(rule, node, search.best))
        } catch (error) {
          this.#problem(rule, node, 'rule-failed', `failed: ${(error as Error).message}`, error)
        }
      }
    return misses
  }
}

/** False once the node that a subgraph belongs to was removed. */
function isAlive(graph: Graph): boolean {
  for (let owner = graph.owner; owner; owner = owner.graph.owner) if (!owner.isLinked) return false
  return true
}
