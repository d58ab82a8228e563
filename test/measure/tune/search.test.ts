import { describe, expect, test } from 'vitest'
import {
  isFaster,
  labelOf,
  type Race,
  search,
  type TuneSpace,
  type TuneStep,
  threadCounts,
} from '../../../src/measure/tune/search.ts'
import type { SessionOptions } from '../../../src/ort/session.ts'

const start: SessionOptions = { graphOptimizationLevel: 'all' }
const space: TuneSpace = { providers: [], intraOp: [1, 2, 4, 8], interOp: [2], refine: false }

/** A machine on which options take `ms`; the confidence of each ratio is `spread` on both sides. */
function machine(ms: (options: SessionOptions) => number, spread = 0.01): { race: Race; raced: string[][] } {
  const raced: string[][] = []
  return {
    raced,
    race: async (candidates) => {
      raced.push(candidates.map(labelOf))
      const first = ms(candidates[0]!)
      return candidates.map((options, i) => {
        const own = ms(options)
        if (Number.isNaN(own)) return { options, error: 'no such device' }
        const ratio = first / own
        const speedup = { median: ratio, low: ratio - spread, high: ratio + spread }
        return { options, ms: own, ...(i ? { speedup } : {}) }
      })
    },
  }
}

async function found(ms: (options: SessionOptions) => number, wanted: Partial<TuneSpace> = {}, margin = 0.02) {
  const { race, raced } = machine(ms)
  const steps: TuneStep[] = []
  const options = await search(race, start, { ...space, ...wanted }, margin, (step) => steps.push(step))
  return { options, raced, steps }
}

describe('search', () => {
  test('takes what is faster, one kind of setting after another, and keeps it', async () => {
    const { options, steps } = await found(
      ({ intraOpNumThreads, enableMemPattern }) =>
        (intraOpNumThreads === 4 ? 6 : 10) - (enableMemPattern === false ? 1 : 0),
    )
    expect(options).toEqual({ graphOptimizationLevel: 'all', intraOpNumThreads: 4, enableMemPattern: false })
    expect(steps.map(({ name, chosen }) => [name, chosen])).toEqual([
      ['threads', 'intraOpNumThreads=4'],
      ['level', 'as it is'],
      ['execution', 'as it is'],
      ['memory', 'enableMemPattern=false'],
    ])
  })

  test('what is there always takes part, and stays where nothing is surely faster', async () => {
    const { options, raced } = await found(({ intraOpNumThreads = 0 }) => 10 - intraOpNumThreads * 0.01)
    expect(options).toBe(start)
    for (const labels of raced) expect(labels[0]).toBe('graphOptimizationLevel=all')
  })

  test('a single number of threads is measured like any other', async () => {
    const { options, raced } = await found(({ intraOpNumThreads }) => (intraOpNumThreads === 3 ? 5 : 10), {
      intraOp: [3],
    })
    expect(raced[0]).toEqual(['graphOptimizationLevel=all', 'graphOptimizationLevel=all intraOpNumThreads=3'])
    expect(options.intraOpNumThreads).toBe(3)
  })

  test('numbers between are tried around the best', async () => {
    const ms = ({ intraOpNumThreads = 8 }: SessionOptions) => 10 + Math.abs(intraOpNumThreads - 6)
    const { options, steps } = await found(ms, { refine: true, intraOp: [1, 2, 4, 8] })
    // 4 and 8 are equally good: from 8 (where it began) nothing moves, so 4 must not win by noise.
    expect(options.intraOpNumThreads).toBeUndefined()
    expect(steps.filter(({ name }) => name === 'threads')).toHaveLength(1)
    const far = await found(({ intraOpNumThreads = 32 }) => 10 + Math.abs(intraOpNumThreads - 12), {
      refine: true,
      intraOp: [8, 16, 32],
    })
    expect(far.steps[1]!.tried.map(({ label }) => label)).toContain('intraOpNumThreads=12')
    expect(far.options.intraOpNumThreads).toBe(12)
  })

  test('a provider that fails is told and skipped', async () => {
    const { options, steps } = await found(
      ({ executionProviders }) => (executionProviders?.[0] === 'cuda' ? Number.NaN : executionProviders ? 5 : 10),
      { providers: ['cuda', 'xnnpack'] },
    )
    expect(steps[0]!.tried[1]).toMatchObject({ label: 'executionProviders=cuda', error: 'no such device' })
    expect(options.executionProviders).toEqual(['xnnpack'])
  })

  test('noise does not win: an interval that holds 1 is no proof, nor is a gain below the margin', async () => {
    expect(isFaster({ median: 1.3, low: 0.98, high: 1.6 }, 0)).toBe(false)
    expect(isFaster({ median: 1.01, low: 1.005, high: 1.02 }, 0.02)).toBe(false)
    expect(isFaster({ median: 1.03, low: 1.01, high: 1.05 }, 0.02)).toBe(true)
    expect(isFaster(undefined, 0)).toBe(false)
    const { race } = machine(({ intraOpNumThreads }) => (intraOpNumThreads ? 7 : 10), 0.6)
    expect(await search(race, start, space, 0)).toBe(start)
  })
})

test('numbers of threads begin at 1 and end at the cores, also where that is one', () => {
  expect([threadCounts(1), threadCounts(4), threadCounts(6)]).toEqual([[1], [1, 2, 4], [1, 2, 4, 6]])
})
