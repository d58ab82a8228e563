import type { BuildReport } from '../pipeline/types.ts'
import type { ReportRow } from './table.ts'

/** A row of `build --json`: the report, and the target where there is one. Keys always come in this order. */
export interface JsonRow extends BuildReport {
  target?: string
}

/** Reports as plain data in a stable order of keys, for `JSON.stringify`. */
export function buildJson(rows: readonly ReportRow[]): JsonRow[] {
  return rows.map(({ report, target }) => ({
    input: report.input,
    ...(report.output === undefined ? {} : { output: report.output }),
    ...(report.adapters?.length ? { adapters: report.adapters } : {}),
    ...(target === undefined ? {} : { target }),
    bytesBefore: report.bytesBefore,
    bytesAfter: report.bytesAfter,
    ms: Math.round(report.ms * 10) / 10,
    cache: report.cache,
    passes: report.passes,
    opsBefore: report.opsBefore,
    opsAfter: report.opsAfter,
    fused: report.fused,
    notes: report.notes,
  }))
}
