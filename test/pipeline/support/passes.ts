import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { threadId } from 'node:worker_threads'
import type { AnyPass } from '../../../src/passes/pass.ts'

const base = { version: 1, doc: 'For tests.', lossless: true }

/** Puts a text into the model's metadata. */
export const stamp: AnyPass = {
  ...base,
  name: 'stamp',
  params: {
    stamp: { type: 'string', doc: 'The text.' },
    stampLook: { type: 'string', doc: 'Decides nothing.', presentation: true },
    repeat: { type: 'integer', doc: 'How often.', default: 1 },
  },
  enabled: ({ stamp }) => stamp !== undefined,
  run(model, { stamp, repeat }, { note, progress }) {
    progress(0.5)
    note({ level: 'info', code: 'stamp/done', message: 'stamped' })
    model.metadata.set('stamp', String(stamp).repeat(Number(repeat)))
    return { changes: 1, fused: { Stamp: 1 }, data: { thread: threadId > 0 } }
  },
}

/** Reads a file beside the model. */
export const include: AnyPass = {
  ...base,
  name: 'include',
  params: { include: { type: 'string', doc: 'A file.' } },
  enabled: ({ include }) => include !== undefined,
  dependencies: ({ include }, file) => [resolve(file, '..', String(include))],
  run(model, { include }, { file }) {
    model.metadata.set('include', readFileSync(resolve(file, '..', String(include)), 'utf8'))
    return { changes: 1 }
  },
}

/** Whose result depends on the machine. */
export const tuned: AnyPass = {
  ...base,
  name: 'tuned',
  params: { tuned: { type: 'boolean', doc: 'Tune.' } },
  enabled: ({ tuned }) => tuned === true,
  hardwareDependent: () => true,
  run: () => ({ changes: 0 }),
}

/** Fails in several ways. */
export const trouble: AnyPass = {
  ...base,
  name: 'trouble',
  params: { trouble: { type: 'enum', values: ['throw', 'exit', 'memory', 'wait'], doc: 'What to do.' } },
  enabled: ({ trouble }) => trouble !== undefined,
  async run(_, { trouble }, { signal }) {
    if (trouble === 'exit') process.exit(3)
    if (trouble === 'memory') {
      const kept: number[][] = []
      for (;;) kept.push(Array.from({ length: 1_000_000 }, Math.random))
    }
    if (trouble === 'wait')
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 20_000)
        signal?.addEventListener('abort', () => {
          clearTimeout(timer)
          resolve(undefined)
        })
      })
    if (trouble === 'throw') throw new TypeError('x is not a function')
    return { changes: 0 }
  },
}

export const passes: readonly AnyPass[] = [stamp, include, tuned, trouble]
