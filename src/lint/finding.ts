import type { Model } from '../graph/model.ts'
import type { Node } from '../graph/node.ts'
import type { OperatorTable } from './operators.ts'

/** Something that costs time or memory on a GPU, for all nodes that it is true of. */
export interface Finding {
  /** Stable code, e.g. `lint/alignment`. */
  code: string
  /** `warn` for what a build should not go past: the model runs, but much slower than it could. */
  level: 'warn' | 'info'
  /** What is found. */
  message: string
  /** What it costs. */
  cost: string
  /** What to change. */
  change: string
  /** How many nodes (or inputs) it is true of, and the first of them by name. */
  count: number
  nodes: string[]
}

/** What rules look at. Values have types. */
export interface LintContext {
  model: Model
  device: string
  /** Which standard operators the device has kernels for; undefined where that is not known. */
  operators: OperatorTable | undefined
}

/** Looks for one kind of finding. */
export type LintRule = (context: LintContext) => Finding[]

/** What stops the GPU; the rest is what it could do better. */
const WARNINGS: readonly string[] = ['leaving', 'copies', 'quantized', 'casts']

/** At most this many nodes are named. */
const NAMED = 5

/** One finding about some nodes; none if there are none. */
export function finding(
  code: string,
  nodes: readonly (Node | string)[],
  text: Pick<Finding, 'message' | 'cost' | 'change'>,
): Finding[] {
  if (!nodes.length) return []
  const labels = nodes.slice(0, NAMED).map((node) => (typeof node === 'string' ? node : node.label))
  const level = WARNINGS.includes(code) ? 'warn' : 'info'
  return [{ code: `lint/${code}`, level, ...text, count: nodes.length, nodes: labels }]
}
