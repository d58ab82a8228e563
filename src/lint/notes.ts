import { copyModel } from '../graph/copy.ts'
import type { Model } from '../graph/model.ts'
import { lintModel } from './index.ts'

/** A finding as a line of a build's report. */
export interface LintNote {
  level: 'info' | 'warn'
  code: string
  message: string
  /** The first place it is true of. */
  node?: string
}

/** What to tell of a model that was built for a GPU. The model stays as it is. */
export async function lintNotes(model: Model, device: string, from: string): Promise<LintNote[]> {
  const findings = await lintModel(copyModel(model).model, device, from)
  return findings.map(({ code, level, message, cost, change, count, nodes: [node] }) => ({
    level,
    code,
    message: `${device}: ${count} ${message}. Cost: ${cost}. ${change}`,
    ...(node === undefined ? {} : { node }),
  }))
}
