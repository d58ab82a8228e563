import { copyModel } from '../graph/copy.ts'
import type { Model } from '../graph/model.ts'
import { lintModel } from './index.ts'

/** A finding as a line of a build's report. */
export interface LintNote {
  level: 'info' | 'warn'
  code: string
  message: string
}

/** Findings that a build can do something about; the others are told where they are asked for. */
const WARNED = new Set(['lint/leaving', 'lint/copies', 'lint/quantized', 'lint/casts'])

/** What to tell of a model that was built for a GPU. The model stays as it is. */
export async function lintNotes(model: Model, device: string, from: string): Promise<LintNote[]> {
  const findings = await lintModel(copyModel(model).model, device, from)
  return findings.map(({ code, message, cost, change, count }) => ({
    level: WARNED.has(code) ? 'warn' : 'info',
    code,
    message: `${count} ${message}. Cost: ${cost}. ${change}`,
  }))
}
