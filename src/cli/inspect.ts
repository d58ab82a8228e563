import pc from 'picocolors'
import { readModel } from '../graph/import.ts'
import { type Finding, lintModel } from '../lint/index.ts'
import type { IoInfo } from '../pipeline/index.ts'
import { formatBytes } from '../report/index.ts'
import { type Inspection, inspectModel } from '../report/inspect.ts'
import { columns } from './columns.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { findModels } from './models.ts'

/** `inspect`: what is in a model. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const [file] = await findModels(operands, io.cwd)
  const inspection = await inspectModel(file!, { top: flags['top'] as number })
  const device = flags['lint'] as string | undefined
  const lint = device === undefined ? undefined : await lintModel(readModel(file!), device, io.cwd)
  if (flags['json']) io.out(JSON.stringify({ ...inspection, ...(lint ? { lint } : {}) }, undefined, 2))
  else for (const line of [...inspectionLines(inspection), ...(lint ? lintLines(lint, device!) : [])]) io.out(line)
  return EXIT.ok
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

/** The inspection as text for people. */
export function inspectionLines(model: Inspection): string[] {
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
