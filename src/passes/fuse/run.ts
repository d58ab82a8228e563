import type { Model } from '../../graph/model.ts'
import { forgetNames, propagateShapes } from '../../graph/shapes/index.ts'
import type { ParamInput, ParamOutput } from '../../params/spec.ts'
import {
  explain,
  Failure,
  type NearMiss,
  type RewriteOptions,
  type RewriteResult,
  type Rule,
  rewrite,
  splitQualified,
} from '../../rewrite/index.ts'
import { attention, checkHeads, DISENTANGLED, multiHead, plainAttention } from '../../rules/attention/index.ts'
import { detectFamily } from '../../rules/families/index.ts'
import type { ModelType } from '../../rules/families/names.ts'
import { chosenPhases } from '../../rules/index.ts'
import { legalityOf } from '../../rules/legality.ts'
import { mergeConstants } from '../clean/duplicate-constants.ts'
import { mergeSubexpressions } from '../clean/subexpressions.ts'
import type { Note, PassContext, PassResult } from '../pass.ts'
import { choiceOf } from './choice.ts'
import type { fuse } from './index.ts'
import { PACKED_OPERATORS, packTokens } from './packing.ts'

/** Parameters of the pass; what is left out has its default. */
export type FuseOptions = ParamInput<Omit<typeof fuse.params, 'fuse'>> & Pick<ParamOutput<typeof fuse.params>, 'fuse'>

/** What the pass tells beside counts per operator. */
export interface FuseData {
  /** What kind of model it is: as the user said, or by its looks. */
  modelType?: ModelType
  /** What it looks like, where the user said something else. */
  looksLike?: ModelType
  /** How often each rule fired. */
  rules: Record<string, number>
  /** Nodes of all graphs but functions, before and after. */
  nodes: { before: number; after: number }
  /** How many nodes more (or, below zero, fewer) there are of each operator, operators that stayed left out. */
  ops: Record<string, number>
  /** Best attempts of rules that never fired, where two nodes and at least half of all matched. */
  nearMisses: NearMiss[]
  /** With `fuseSteps`: the last rewrites, the very last at the end. */
  lastSteps?: { rule: string; node: string }[]
}

/** Runs the fusion rules that the options ask for. */
export async function run(
  model: Model,
  options: FuseOptions,
  { ort, device, note }: Pick<PassContext, 'ort' | 'device' | 'note'>,
): Promise<PassResult & { data: FuseData }> {
  const { fuse: asked, fuseSteps: steps, strict, packing, numHeads, hiddenSize } = options
  const restore = keepSignature(model)
  forgetShapes(model)
  await ort.inferTypes(model)
  propagateShapes(model, { named: true })
  const detected = detectFamily(model)?.types[0]
  const type = asked === 'auto' || asked === 'none' ? detected : asked
  const phases = chosenPhases(choiceOf(options, type, device))
  const before = model.histogram()
  const { changes, counts, nearMisses, problems, trail } = rewriteAll(model, phases, {
    steps,
    strict,
    allows: legalityOf(device),
  })
  const runs = (rule: Rule): boolean => phases.some((rules) => rules.includes(rule))
  const stuck = runs(multiHead) ? explain(model, [multiHead], { allows: legalityOf(device) }) : []
  // Whatever kept an attention from getting its operator, no operator of our own may stay.
  rewrite(model, [[plainAttention]])
  const left = runs(attention) ? attentionLeft(model, legalityOf(device), stuck) : []
  forgetNames(model)
  const packed = packing ? packTokens(model, device) : 0
  if (packed instanceof Failure)
    note({ level: 'warn', code: 'fuse/not-packed', message: `not packed: ${textOf(packed)}` })
  restore()
  checkHeads(model, { numHeads, hiddenSize })
  for (const { code, node, message } of problems) note({ level: 'warn', code: `fuse/${code}`, message, node })
  for (const each of left) note(each)
  const after = model.histogram()
  const data: FuseData = {
    ...(type ? { modelType: type } : {}),
    ...(detected && detected !== type ? { looksLike: detected } : {}),
    rules: counts,
    nodes: { before: total(before), after: total(after) },
    ops: histogramDifference(before, after),
    nearMisses: nearMisses.filter(isTelling),
    ...(steps === undefined ? {} : { lastSteps: trail }),
  }
  const emitted = new Set([...phases.flat().flatMap(({ emits }) => emits), ...(packing ? PACKED_OPERATORS : [])])
  return { changes: changes + (packed instanceof Failure ? 0 : packed), fused: growth(before, after, emitted), data }
}

/** Inference knows more about outputs than files declare; what the model declares is its signature and stays. */
function keepSignature({ graph }: Model): () => void {
  const declared = graph.outputs.map(({ type, extra }) => ({ type, typeProto: extra?.typeProto }))
  return () => {
    for (const [i, { type, typeProto }] of declared.entries()) {
      const output = graph.outputs[i]!
      output.type = type
      if (typeProto) output.extra = { ...output.extra, typeProto }
    }
  }
}

/** Shapes that a file states for values inside may be those of the exporter's example: only what follows from the inputs counts. */
function forgetShapes(model: Model): void {
  for (const node of model.allNodes())
    for (const value of node.outputs)
      if (value?.type?.kind === 'tensor' && value.type.shape) value.type = { kind: 'tensor', dtype: value.type.dtype }
}

/**
 * Rules until nothing more fits. They do not know of each other: what several made alike is made once; and with less arithmetic
 * on shapes in the way more shapes are known. Both may let further rules fit.
 */
function rewriteAll(model: Model, phases: readonly (readonly Rule[])[], options: RewriteOptions): RewriteResult {
  const first = rewrite(model, phases, options)
  if (!first.changes) return first
  mergeConstants(model.graph)
  mergeSubexpressions(model.graph)
  forgetNames(model)
  propagateShapes(model, { named: true })
  const steps = options.steps === undefined ? undefined : options.steps - first.changes
  const second = rewrite(model, phases, { ...options, steps })
  const counts = { ...first.counts }
  for (const [name, count] of Object.entries(second.counts)) counts[name] = (counts[name] ?? 0) + count
  return {
    changes: first.changes + second.changes,
    counts,
    nearMisses: first.nearMisses.filter(({ rule }) => !counts[rule]),
    problems: [...first.problems, ...second.problems],
    trail: [...first.trail, ...second.trail],
  }
}

/** Attention that stays in pieces, a note for each reason with one of the places. */
function attentionLeft(model: Model, allows: RewriteOptions['allows'], stuck: readonly NearMiss[]): Note[] {
  const notes = new Map<string, { miss: NearMiss; count: number }>()
  for (const miss of [...stuck, ...explain(model, [attention], { allows })]) {
    // What has no Softmax where one is looked for is no attention.
    if (2 * miss.matched < miss.total || miss.reason.startsWith('expected ')) continue
    // Names of values differ from layer to layer.
    const kind = miss.reason.replaceAll(/"[^"]*"|\([^)]*\)/g, '')
    const known = notes.get(kind)
    if (known) known.count++
    else notes.set(kind, { miss, count: 1 })
  }
  return [...notes.values()].map(({ miss, count }) => ({
    level: 'info',
    code: miss.reason.includes(DISENTANGLED) ? 'fuse/disentangled' : 'fuse/attention-left',
    message: `attention is not fused${count > 1 ? ` in ${count} places` : ''}: ${miss.reason}`,
    node: miss.at,
  }))
}

function textOf({ reason, about }: Failure): string {
  return about && 'label' in about ? `${about.label} ${reason}` : reason
}

function histogramDifference(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
  const rows = names.map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)] as const)
  return Object.fromEntries(rows.filter(([, count]) => count !== 0))
}

/** Rules begin everywhere, so one node tells nothing; but what keeps attention from its operator always does. */
function isTelling({ rule, matched, total }: NearMiss): boolean {
  return rule === 'multi-head-attention' || (matched > 1 && 2 * matched >= total)
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0)
}

/** How many more there are of each of these operators, by name without domain. */
function growth(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  ops: ReadonlySet<string>,
): Record<string, number> {
  const grown: Record<string, number> = {}
  for (const name of ops) {
    const more = (after[name] ?? 0) - (before[name] ?? 0)
    const { op } = splitQualified(name)
    if (more > 0) grown[op] = (grown[op] ?? 0) + more
  }
  return grown
}
