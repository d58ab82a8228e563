import { basename } from 'node:path'
import type { BuildProgress } from '../../pipeline/index.ts'

/** Milliseconds between two lines about one model. */
const PAUSE = 500

/**
 * Says in the terminal of a dev server how far builds are: a line when a pass begins or goes on for a while. Models from the
 * cache and quick builds say nothing.
 *
 * @param now milliseconds, for tests
 */
export function progressLines(
  logger: { info(message: string, options?: { timestamp?: boolean }): void },
  now: () => number = Date.now,
): (progress: BuildProgress) => void {
  const last = new Map<string, number>()
  return ({ file, phase, fraction }) => {
    const before = last.get(file)
    if (phase === 'hash' || before === undefined) last.set(file, now())
    if (phase === 'hash' || before === undefined || now() - before < PAUSE || fraction >= 1) return
    last.set(file, now())
    const percent = fraction > 0 ? ` ${Math.round(fraction * 100)} %` : ''
    logger.info(`onnx ${basename(file)}: ${phase}${percent}`, { timestamp: true })
  }
}
