import { relative } from 'node:path'
import pc from 'picocolors'
import type { BuildReport } from '../pipeline/types.ts'

/** `1.23 MB`, with decimal units as bundlers print them. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const unit = bytes < 999_950 ? 'kB' : bytes < 999_950_000 ? 'MB' : 'GB'
  const size = bytes / { kB: 1e3, MB: 1e6, GB: 1e9 }[unit]
  return `${size.toFixed(size < 100 ? 2 : 1)} ${unit}`
}

/** `350 ms`, `2.4 s`. */
export function formatTime(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

/**
 * What builds did, one row each: the model and its query or target, sizes, time, what the passes changed; below it what the
 * user should know.
 *
 * @param label what to add to a report's file name, e.g. the query
 */
export function reportTable(rows: readonly { label: string; report: BuildReport }[], root: string): string {
  const cells = rows.map(({ label, report }) => {
    const { bytesBefore, bytesAfter, ms, cache, passes } = report
    const percent = bytesBefore ? Math.round((bytesAfter / bytesBefore - 1) * 100) : 0
    return {
      name: `${relative(root, report.input)}${label}`,
      before: formatBytes(bytesBefore),
      after: formatBytes(bytesAfter),
      percent: percent ? `${percent > 0 ? '+' : ''}${percent} %` : '',
      did: passes.flatMap((pass) => (pass.changes ? `${pass.name} ${pass.changes}` : [])).join(', ') || 'unchanged',
      time: cache === 'hit' ? `${formatTime(ms)} (cached)` : formatTime(ms),
      smaller: bytesAfter < bytesBefore,
    }
  })
  const width = (key: 'name' | 'before' | 'after' | 'percent') => Math.max(0, ...cells.map((row) => row[key].length))
  const [name, before, after, percent] = [width('name'), width('before'), width('after'), width('percent')]
  const lines = cells.map((row) =>
    [
      pc.cyan(row.name.padEnd(name)),
      `${pc.dim(row.before.padStart(before))} ${pc.dim('→')} ${pc.bold(row.after.padStart(after))}`,
      (row.smaller ? pc.green : pc.yellow)(row.percent.padStart(percent)),
      `${row.did} ${pc.dim(`· ${row.time}`)}`,
    ].join('  '),
  )
  return lines.join('\n')
}

/** The notes of builds as lines, most urgent first, each once. */
export function noteLines(reports: readonly BuildReport[], level: 'info' | 'warn'): string[] {
  const lines = reports.flatMap(({ notes }) =>
    notes.filter((note) => note.level === level).map(({ message, node }) => `${message}${node ? ` (at ${node})` : ''}`),
  )
  return [...new Set(lines)]
}
