import picomatch from 'picomatch'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { nearest } from '../../params/nearest.ts'
import type { Note } from '../pass.ts'
import type { Part } from './part.ts'
import { FUSED } from './static/fused.ts'
import { OPERATORS, OPTIONAL_OPERATORS } from './static/operators.ts'

/** Which nodes the user wants quantized. */
export interface Selection {
  ops?: readonly string[] | undefined
  excludeOps?: readonly string[] | undefined
  nodes?: readonly string[] | undefined
  excludeNodes?: readonly string[] | undefined
}

/** A node is known by its name; one without a name by that of its first output. */
export function nameOf(node: Node): string {
  return node.name || node.outputs.find((value) => value)?.name || ''
}

/** Stands for all operator types in `ops`. */
export const EVERY = '*'

/** True unless the choice of operator types leaves this one out. */
export function wantsType(opType: string, { ops, excludeOps }: Selection): boolean {
  return (!ops?.length || ops.includes(opType) || ops.includes(EVERY)) && !excludeOps?.includes(opType)
}

/** Names by which nodes are known besides their own. */
export type Aliases = ReadonlyMap<Node, readonly string[]>

/**
 * The choice of nodes as a predicate. A pattern is a glob (`*` stays within `/`, `**` does not) or the exact name.
 * Patterns that fit no node of the model are reported, as they are most likely misspelt.
 *
 * @param part nodes outside of it are left out as well
 * @param supported operator types that can be quantized at all; others in `ops` are an error. In `excludeOps` those of static
 * quantization always pass: presets name them, and are used with other kinds too
 * @param aliases names that fit as well
 */
export function selector(
  model: Model,
  selection: Selection,
  supported: readonly string[],
  note: (note: Note) => void,
  part?: Part,
  aliases: Aliases = new Map(),
): (node: Node) => boolean {
  const excludable = [...supported, ...Object.keys(OPERATORS), ...OPTIONAL_OPERATORS, ...FUSED]
  const known = { ops: supported, excludeOps: [...new Set(excludable)] }
  for (const key of ['ops', 'excludeOps'] as const) checkOps(key, selection[key], known[key])
  const isNamed = byName(model, 'nodes', selection.nodes, note, aliases)
  const isExcluded = byName(model, 'excludeNodes', selection.excludeNodes, note, aliases)
  return (node) => {
    if (part && !part.selects(node)) return false
    if (!wantsType(node.opType, selection)) return false
    return (!selection.nodes?.length || isNamed(node)) && !isExcluded(node)
  }
}

/** Whether a node fits one of the patterns that an option names. Those that fit no node are reported. */
export function byName(
  model: Model,
  option: string,
  patterns: readonly string[] | undefined,
  note: (note: Note) => void,
  aliases: Aliases,
): (node: Node) => boolean {
  if (!patterns?.length) return () => false
  const namesOf = (node: Node): string[] => [nameOf(node), ...(aliases.get(node) ?? [])]
  const matchers = compile(patterns)
  for (const { pattern, fits } of matchers) {
    if ([...model.allNodes()].some((node) => namesOf(node).some(fits))) continue
    note({
      level: 'warn',
      code: 'quantize/pattern-without-node',
      message: `no node of the model is called "${pattern}" (${option})`,
    })
  }
  return (node) => {
    const names = namesOf(node)
    return matchers.some(({ fits }) => names.some(fits))
  }
}

function compile(patterns: readonly string[] = []): { pattern: string; fits: (name: string) => boolean }[] {
  return patterns.map((pattern) => {
    const glob = picomatch(pattern, { dot: true })
    return { pattern, fits: (name) => name === pattern || glob(name) }
  })
}

/** Throws OnnxError if an option names an operator type that is none of `supported`. */
export function checkOps(key: string, ops: readonly string[] = [], supported: readonly string[]): void {
  for (const op of ops)
    if (!supported.includes(op) && !(key === 'ops' && op === EVERY)) throw unknownOp(key, op, supported)
}

function unknownOp(key: string, op: string, supported: readonly string[]): OnnxError {
  const near = nearest(op, supported)
  return new OnnxError('OPTION_INVALID', `${key}: operators of type "${op}" are never quantized`, {
    hint: `${near ? `Did you mean ${near}? ` : ''}Types are ${supported.join(', ')}.`,
  })
}
