import { stripVTControlCharacters } from 'node:util'
import { createColors } from 'picocolors'
import type { Note } from '../passes/pass.ts'
import type { BuildReport } from '../pipeline/types.ts'
import { formatBytes, formatDuration, formatRatio } from './format.ts'

/** One build as a row of the table. */
export interface ReportRow {
  report: BuildReport
  /** What follows the file's name, e.g. the query of its import. */
  label?: string | undefined
  /** Name of the target it was built for. */
  target?: string | undefined
  /** Bytes that the target downloads before its first run: model and runtime. */
  firstLoad?: number | undefined
  /** Adapters that are loaded when they are asked for. */
  adapters?: readonly { name: string; bytes: number }[] | undefined
}

export interface TableOptions {
  /** Whether to use ANSI colours. */
  color?: boolean
  /** Folder that names of models are relative to. */
  root?: string
  /** How many notes to print under each model; the rest are counted. Default 5. */
  maxNotes?: number
}

type Align = 'left' | 'right'
interface Column {
  title: string
  align: Align
}

const COLUMNS: readonly Column[] = [
  { title: 'model', align: 'left' },
  { title: 'target', align: 'left' },
  { title: 'before', align: 'right' },
  { title: 'after', align: 'right' },
  { title: '', align: 'right' },
  { title: 'first load', align: 'right' },
  { title: 'time', align: 'right' },
  { title: 'cache', align: 'left' },
  { title: 'changes', align: 'left' },
  { title: 'nodes', align: 'left' },
  { title: 'fused', align: 'left' },
]

/**
 * The table at the end of a build: a line per model, columns aligned, and the notes of the passes under it. Columns in which
 * no model has anything are left out. Empty text for no rows.
 */
export function buildTable(
  rows: readonly ReportRow[],
  { color = false, root, maxNotes = 5 }: TableOptions = {},
): string {
  if (rows.length === 0) return ''
  const paint = createColors(color)
  const cells = rows.map(({ report, label = '', target, firstLoad }) => {
    const smaller = report.bytesAfter < report.bytesBefore
    const size = formatBytes(report.bytesAfter)
    return [
      paint.bold(nameOf(report.input, root)) + paint.dim(label),
      target ? paint.cyan(target) : '',
      paint.dim(formatBytes(report.bytesBefore)),
      smaller ? paint.green(size) : size,
      paint.dim(formatRatio(report.bytesBefore, report.bytesAfter)),
      firstLoad === undefined ? '' : formatBytes(firstLoad),
      formatDuration(report.ms),
      report.cache === 'hit' ? paint.dim('hit') : report.cache,
      countsText(Object.fromEntries(report.passes.map(({ name, changes }) => [name, changes])), false),
      report.passes.some(({ name }) => name === 'fuse') ? nodesText(report) : '',
      countsText(report.fused),
    ]
  })
  const used = COLUMNS.map((column, i) => ({ ...column, i })).filter(({ i }) => cells.some((row) => row[i] !== ''))
  const widths = used.map(({ title, i }) => Math.max(title.length, ...cells.map((row) => widthOf(row[i]!))))
  const line = (texts: readonly string[]): string =>
    used
      .map(({ align }, k) => pad(texts[k]!, widths[k]!, align))
      .join('  ')
      .trimEnd()
  const lines = [paint.dim(line(used.map(({ title }) => title)))]
  for (const [r, row] of cells.entries()) {
    lines.push(line(used.map(({ i }) => row[i]!)))
    for (const { name, bytes } of rows[r]!.adapters ?? [])
      lines.push(`  ${paint.dim('-')} adapter "${name}" ${paint.dim(formatBytes(bytes))}`)
    const { notes } = rows[r]!.report
    for (const { level, message, node } of notes.slice(0, maxNotes)) {
      const mark = level === 'warn' ? paint.yellow('!') : paint.dim('-')
      lines.push(`  ${mark} ${message}${node ? paint.dim(` (at ${node})`) : ''}`)
    }
    if (maxNotes > 0 && notes.length > maxNotes)
      lines.push(`  ${paint.dim(`... and ${notes.length - maxNotes} more notes`)}`)
  }
  return lines.join('\n')
}

function nodesText({ opsBefore, opsAfter }: BuildReport): string {
  const total = (ops: Readonly<Record<string, number>>): number => Object.values(ops).reduce((sum, n) => sum + n, 0)
  return `${total(opsBefore)} → ${total(opsAfter)}`
}

/** One line about one build, for logs that are no terminals. */
export function buildLine(
  { report, label = '', target }: ReportRow,
  { root }: Pick<TableOptions, 'root'> = {},
): string {
  const sizes = `${formatBytes(report.bytesBefore)} -> ${formatBytes(report.bytesAfter)}`
  const ratio = formatRatio(report.bytesBefore, report.bytesAfter)
  const name = nameOf(report.input, root) + label
  const cache = report.cache === 'hit' ? ', from the cache' : ''
  return `${name}${target ? ` [${target}]` : ''}  ${sizes}${ratio && ` (${ratio})`} in ${formatDuration(report.ms)}${cache}`
}

/** `SkipLayerNormalization 12, Attention 6`: what is not zero, by default the most frequent first. */
export function countsText(counts: Readonly<Record<string, number>>, sorted = true): string {
  const entries = Object.entries(counts).filter(([, count]) => count > 0)
  if (sorted) entries.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  return entries.map(([name, count]) => `${name} ${count}`).join(', ')
}

/** The notes of builds as lines, each once. */
export function noteLines(reports: readonly BuildReport[], level: Note['level']): string[] {
  const lines = reports.flatMap(({ notes }) =>
    notes.filter((note) => note.level === level).map(({ message, node }) => `${message}${node ? ` (at ${node})` : ''}`),
  )
  return [...new Set(lines)]
}

function nameOf(file: string, root: string | undefined): string {
  const path = file.replaceAll('\\', '/')
  const base = root?.replaceAll('\\', '/').replace(/\/?$/, '/')
  return base && path.startsWith(base) ? path.slice(base.length) : path.split('/').at(-1)!
}

function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length
}

function pad(text: string, width: number, align: Align): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)))
  return align === 'right' ? space + text : text + space
}
