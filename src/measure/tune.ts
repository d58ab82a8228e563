import { availableParallelism } from 'node:os'
import { loadOrt } from '../ort/load.ts'
import type { SessionOptions } from '../ort/session.ts'
import { type BenchOptions, type BenchResult, bench } from './bench.ts'

/** One question of the search: settings that exclude each other. */
export interface TuneStep {
  /** What is varied. */
  name: string
  /** The best of the alternatives by label, and whether it replaced what was there. */
  tried: { label: string; result: BenchResult }[]
  chosen: string
}

export interface TuneResult {
  options: SessionOptions
  /** The default settings and the chosen ones, timed side by side at the end. */
  before: BenchResult
  after: BenchResult
  steps: TuneStep[]
}

export interface TuneOptions extends BenchOptions {
  /** An alternative must be faster than what it replaces by this share, and surely so. */
  margin: number
  onStep?: (step: TuneStep) => void
}

/**
 * Finds session options with which a model runs faster, one kind of setting after another: execution provider, threads, graph
 * optimization, execution mode, memory. An alternative replaces what is there only if its confidence interval lies below
 * the other's, and its median by more than the margin.
 *
 * @param providers execution providers to try; default those of this onnxruntime-node that run without a device of their own
 */
export async function tune(file: string, options: TuneOptions, providers?: readonly string[]): Promise<TuneResult> {
  const cores = availableParallelism()
  const threads = [...new Set([1, 2, Math.ceil(cores / 2), cores])].filter((n) => n <= cores)
  const kinds: { name: string; values: SessionOptions[] }[] = [
    { name: 'provider', values: (providers ?? (await cpuProviders())).map((name) => ({ executionProviders: [name] })) },
    { name: 'threads', values: threads.map((intraOpNumThreads) => ({ intraOpNumThreads })) },
    {
      name: 'level',
      values: (['extended', 'basic', 'disabled'] as const).map((level) => ({ graphOptimizationLevel: level })),
    },
    {
      name: 'execution',
      values: [2, cores].map((interOpNumThreads) => ({ executionMode: 'parallel', interOpNumThreads }) as const),
    },
    { name: 'memory', values: [{ enableMemPattern: false }, { enableCpuMemArena: false }] },
  ]
  const start: SessionOptions = { graphOptimizationLevel: 'all' }
  let best = start
  const steps: TuneStep[] = []
  for (const { name, values } of kinds) {
    const alternatives = values.filter((value) => JSON.stringify({ ...best, ...value }) !== JSON.stringify(best))
    if (!alternatives.length) continue
    const contenders = [{}, ...alternatives].map((value) => ({
      label: labelOf(value),
      file,
      options: { ...best, ...value },
    }))
    const results = await bench(contenders, { ...options, dropSlow: true })
    const [current, ...others] = results as [BenchResult, ...BenchResult[]]
    const fastest = others.reduce((a, b) => (b.latency.median < a.latency.median ? b : a))
    const isBetter =
      fastest.latency.high < current.latency.low && current.latency.median / fastest.latency.median > 1 + options.margin
    if (isBetter) best = contenders[results.indexOf(fastest)]!.options
    const step = {
      name,
      tried: results.map((result) => ({ label: result.label, result })),
      chosen: isBetter ? fastest.label : current.label,
    }
    steps.push(step)
    options.onStep?.(step)
  }
  const [before, after] = (await bench(
    [
      { label: 'default', file, options: start },
      { label: 'tuned', file, options: best },
    ],
    options,
  )) as [BenchResult, BenchResult]
  return { options: best, before, after, steps }
}

function labelOf(options: SessionOptions): string {
  const text = Object.entries(options).map(([key, value]) => `${key}=${String(value)}`)
  return text.join(' ') || 'as it is'
}

async function cpuProviders(): Promise<string[]> {
  const ort = (await loadOrt()) as { listSupportedBackends?: () => { name: string; bundled: boolean }[] }
  const names = (ort.listSupportedBackends?.() ?? []).map(({ name }) => name)
  // WebGPU and others need a device: they are tried when named.
  return names.includes('xnnpack') ? ['xnnpack'] : []
}
