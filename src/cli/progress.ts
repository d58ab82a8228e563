import { basename } from 'node:path'
import type { BuildProgress } from '../pipeline/index.ts'
import type { Io } from './command.ts'

/** Shows how far builds are: one bar per model on a terminal, nothing elsewhere (each model ends in a line of its own). */
export interface Progress {
  update(progress: BuildProgress): void
  /** The model is done: its bar goes. */
  done(file: string): void
  stop(): void
}

const SILENT: Progress = { update() {}, done() {}, stop() {} }

export async function createProgress(io: Io, silent: boolean): Promise<Progress> {
  if (silent || !io.isTerminal) return SILENT
  const { MultiBar, Presets } = (await import('cli-progress')).default
  const bars = new MultiBar(
    { format: ' {bar} {percentage}% {name}: {phase}', hideCursor: true, clearOnComplete: true, stream: process.stderr },
    Presets.shades_classic,
  )
  const shown = new Map<string, ReturnType<typeof bars.create>>()
  const finished = new Set<string>()
  return {
    update({ file, phase, fraction }) {
      // Workers report in their own time: a last word may come after the end.
      if (finished.has(file)) return
      let bar = shown.get(file)
      if (!bar) {
        bar = bars.create(100, 0, { name: basename(file), phase })
        shown.set(file, bar)
      }
      bar.update(Math.round(fraction * 100), { phase })
    },
    done(file) {
      finished.add(file)
      const bar = shown.get(file)
      if (bar) bars.remove(bar)
      shown.delete(file)
    },
    stop: () => bars.stop(),
  }
}
