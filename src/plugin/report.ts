import pc from 'picocolors'
import { buildTable, noteLines } from '../report/index.ts'
import type { BuiltImport } from './models.ts'

/** Where a bundler wants messages of plugins to go. */
export interface Log {
  info(message: string): void
  warn(message: string): void
}

/** Prints the table of what was built, and warnings. */
export function report(built: readonly BuiltImport[], root: string, log: Log): void {
  if (built.length === 0) return
  const rows = new Map(
    built.flatMap(({ id, variants }) =>
      variants.map(({ options, artifact }) => {
        const label = id.query ? `?${id.query}` : ''
        const target = options.target ?? options.device
        return [[id.file, label, target].join(), { label, target, report: artifact.report }] as const
      }),
    ),
  )
  log.info(`onnx models:\n${buildTable([...rows.values()], { root, color: pc.isColorSupported, maxNotes: 0 })}`)
  for (const line of noteLines(
    [...rows.values()].map((row) => row.report),
    'warn',
  ))
    log.warn(line)
}
