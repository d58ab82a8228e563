import { resolve } from 'node:path'
import pc from 'picocolors'
import { readModel } from '../graph/import.ts'
import { type Finding, lintModel } from '../lint/index.ts'
import type { ErrorReport } from '../measure/error/index.ts'
import type { IoInfo } from '../pipeline/index.ts'
import { explainModel, type FusionReport } from '../report/explain.ts'
import { countsText, formatBytes } from '../report/index.ts'
import { type Inspection, inspectModel } from '../report/inspect.ts'
import { columns } from './columns.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { errorLines } from './error-lines.ts'
import { findModels } from './models.ts'
import { wantedSizes } from './sizes.ts'

/** `inspect`: what is in a model. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const [file] = await findModels(operands, io.cwd)
  const inspection = await inspectModel(file!, { top: flags['top'] as number })
  const device = flags['lint'] as string | undefined
  const lint = device === undefined ? undefined : await lintModel(readModel(file!), device, io.cwd)
  const fusion = flags['explain'] ? await explainModel(file!, flags['device'] as string) : undefined
  const error = await errorOf(file!, flags, io)
  const parts = { ...(lint ? { lint } : {}), ...(fusion ? { fusion } : {}), ...(error ? { error } : {}) }
  if (flags['json']) io.out(JSON.stringify({ ...inspection, ...parts }, undefined, 2))
  else
    for (const line of [
      ...inspectionLines(inspection),
      ...(lint ? lintLines(lint, device!) : []),
      ...(fusion ? fusionLines(fusion) : []),
      ...(error ? errorLines(error) : []),
    ])
      io.out(line)
  return EXIT.ok
}

/** What quantization cost, if the command line names the float model. */
async function errorOf(file: string, flags: Invocation['flags'], io: Io): Promise<ErrorReport | undefined> {
  const reference = flags['error'] as string | undefined
  if (reference === undefined) return undefined
  const [float] = await findModels([reference], io.cwd)
  const { quantizationError } = await import('../measure/error/index.ts')
  return quantizationError(float!, file, {
    files: ((flags['inputs'] as readonly string[] | undefined) ?? []).map((path) => resolve(io.cwd, path)),
    samples: flags['samples'] as number,
    seed: flags['seed'] as number,
    sizes: wantedSizes(flags),
  })
}

/** The findings as text for people. */
function lintLines(lint: readonly Finding[], device: string): string[] {
  const lines = lint.flatMap(({ level, message, cost, change, count, nodes }) => [
    `  ${level === 'warn' ? pc.yellow('!') : pc.dim('-')} ${count} ${message}`,
    `    Cost: ${cost}.`,
    `    ${change}`,
    pc.dim(`    ${nodes.join(', ')}${count > nodes.length ? ', ...' : ''}`),
  ])
  return ['', pc.bold(`On ${device}`), ...(lines.length ? lines : ['  Nothing to improve.'])]
}

/** What fusing would do as text for people. */
function fusionLines(fusion: FusionReport): string[] {
  const { device, modelType, attention, nodes, fused, rules, notes } = fusion
  const kind = modelType ? `looks like ${modelType}` : 'like none of the known kinds of model'
  const misses = worthTelling(fusion.nearMisses)
  return [
    '',
    pc.bold(`Fusing for ${device}`),
    `  ${kind}; ${nodes.before} -> ${nodes.after} nodes`,
    `  ${countsText(fused) || 'nothing to fuse'}`,
    ...(attention.fused + attention.left
      ? [`  Attention: ${attention.fused} of ${attention.fused + attention.left} fused`]
      : []),
    ...(Object.keys(rules).length ? [pc.dim(`  Rules: ${countsText(rules)}`)] : []),
    ...notes.map(({ message, node }) => `  ${pc.yellow('!')} ${message}${node ? ` (at ${node})` : ''}`),
    ...(misses.length ? ['', pc.bold('What stopped rules elsewhere')] : []),
    ...misses.map(({ message, count }) => `  ${message}${count > 1 ? pc.dim(` (and ${count - 1} like it)`) : ''}`),
  ]
}

/** Rules that make way for others: nobody waits for them. */
const PLUMBING = new Set(['collapse-views', 'constant-shape', 'size-from-above'])

/** Attempts that came at least halfway; of those of one rule with one reason the first. */
function worthTelling(misses: FusionReport['nearMisses']): { message: string; count: number }[] {
  const kinds = new Map<string, { message: string; count: number }>()
  for (const { rule, matched, total, message, reason } of misses) {
    if (matched < 2 || 2 * matched < total || PLUMBING.has(rule)) continue
    // Names differ from layer to layer where the reason is the same.
    const key = `${rule} ${reason.replaceAll(/"[^"]*"|\([^)]*\)|\[[^\]]*\]/g, '')}`
    const known = kinds.get(key)
    if (known) known.count++
    else kinds.set(key, { message, count: 1 })
  }
  return [...kinds.values()]
}

/** The inspection as text for people. */
function inspectionLines(model: Inspection): string[] {
  const opsets = Object.entries(model.opsets).map(([domain, version]) => `${domain || 'ai.onnx'} ${version}`)
  const ops = Object.entries(model.ops).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
  const section = (title: string, rows: readonly (readonly string[])[]) =>
    rows.length ? ['', pc.bold(title), ...columns(rows).map((row) => `  ${row}`)] : []
  return [
    pc.bold(model.file),
    `${formatBytes(model.bytes)}, ${count(model.parameters, 'parameter')}, ${count(model.nodes, 'node')}` +
      (model.subgraphs ? `, ${count(model.subgraphs, 'subgraph')}` : '') +
      (model.functions.length ? `, ${count(model.functions.length, 'local function')}` : ''),
    `IR version ${model.irVersion}, opset ${opsets.join(', ')}${model.producer ? `, made by ${model.producer}` : ''}`,
    ...section('Inputs', model.inputs.map(ioRow)),
    ...section('Outputs', model.outputs.map(ioRow)),
    ...section('Operators', [ops.map(([op, times]) => `${op} ${times}`)].flatMap(wrapped)),
    ...section(
      'Weights',
      model.weights.map(({ dtype, tensors, bytes }) => [dtype, formatBytes(bytes), count(tensors, 'tensor')]),
    ),
    ...section(
      'Largest tensors',
      model.largest.map(({ name, dtype, shape, bytes, external }) => [
        formatBytes(bytes),
        `${dtype}[${shape.join(', ')}]`,
        `${name}${external ? ' (external)' : ''}`,
      ]),
    ),
    ...section(
      'External data',
      model.external.map(({ location, bytes }) => [location, formatBytes(bytes)]),
    ),
    ...section(
      'Metadata',
      Object.entries(model.metadata).map(([key, value]) => [key, value.slice(0, 100)]),
    ),
  ]
}

function ioRow({ name, dtype, type, shape }: IoInfo & { optional?: boolean }): string[] {
  return [name, dtype && shape ? `${dtype}[${shape.map((dim) => dim ?? '?').join(', ')}]` : type]
}

/** Words in lines of at most about 100 letters. */
function wrapped(words: readonly string[]): string[][] {
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length > 98) lines.push(word)
    else lines[lines.length - 1] = `${last}, ${word}`
  }
  return lines.map((line) => [line])
}

function count(n: number, noun: string): string {
  return `${n.toLocaleString('en-US')} ${noun}${n === 1 ? '' : 's'}`
}
