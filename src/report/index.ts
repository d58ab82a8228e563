export { formatBytes, formatDuration, formatRatio } from './format.ts'
export { buildJson, type JsonRow } from './json.ts'
export { buildLine, buildTable, countsText, noteLines, type ReportRow, type TableOptions } from './table.ts'
