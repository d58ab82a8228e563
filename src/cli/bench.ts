import { availableParallelism } from 'node:os'
import { relative, resolve } from 'node:path'
import pc from 'picocolors'
import type { WebDevice } from '../measure/bench/browser.ts'
import { type BenchFailure, type BenchResult, bench, speedupOf } from '../measure/bench/node.ts'
import { latencyOf, median } from '../measure/bench/statistics.ts'
import { estimate } from '../measure/confidence.ts'
import type { Feeds } from '../measure/isolated.ts'
import { OnnxError } from '../onnx/errors.ts'
import { externalTensorFiles } from '../pipeline/external-tensors.ts'
import { formatBytes, formatDuration } from '../report/index.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { findModels } from './models.ts'
import { wantedRoles, wantedSizes } from './sizes.ts'

/** A row of `bench --json`. In a browser memory is that of the page, where it tells. */
interface Row extends Omit<BenchResult, 'memory'> {
  where: 'node' | WebDevice
  memory?: BenchResult['memory'] | { page: number }
}

/** `bench`: how fast models run, and what they take. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const files = await findModels(operands, io.cwd)
  const threads = flags['threads'] as number
  const contenders = files.map((file) => ({
    label: relative(io.cwd, file),
    file,
    options: {
      graphOptimizationLevel: flags['level'] as 'all',
      ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
    },
  }))
  const { results, failures, feeds } = await bench(contenders, {
    files: ((flags['inputs'] as readonly string[] | undefined) ?? []).map((file) => resolve(io.cwd, file)),
    samples: 1,
    sizes: wantedSizes(flags),
    roles: wantedRoles(flags),
    rounds: flags['runs'] as number,
    warmUp: flags['warmUp'] as number,
  })
  const rows: Row[] = results.map((result) => ({ ...result, where: 'node' }))
  for (const device of (flags['browser'] as readonly WebDevice[] | undefined) ?? []) {
    if (!results.length) break
    await inBrowser(device, results, feeds, rows, failures, flags, io)
  }
  if (flags['json'])
    io.out(
      JSON.stringify([...rows, ...failures.map(({ error, ...row }) => ({ ...row, error: error.toJSON() }))], null, 2),
    )
  else {
    for (const row of rows) for (const line of lines(row)) io.out(line)
    for (const { error } of failures) io.err(error.message)
  }
  return failures.length ? EXIT.failed : EXIT.ok
}

/** The same models with the same inputs in Chromium: adds to rows and failures. */
async function inBrowser(
  device: WebDevice,
  results: readonly BenchResult[],
  feeds: ReadonlyMap<BenchResult, Feeds>,
  rows: Row[],
  failures: BenchFailure[],
  flags: Invocation['flags'],
  io: Io,
): Promise<void> {
  const { benchInBrowser } = await import('../measure/bench/browser.ts')
  const measured = await benchInBrowser(
    results.map((result) => ({ file: result.file, feeds: feeds.get(result)! })),
    device,
    {
      root: io.cwd,
      externalOf: externalTensorFiles,
      threads: (flags['threads'] as number) || availableParallelism(),
      warmUp: flags['warmUp'] as number,
      rounds: flags['runs'] as number,
    },
  )
  let first: number[] | undefined
  for (const [i, result] of measured.entries()) {
    const { label, file, batch, inputs } = results[i]!
    if (result instanceof OnnxError) {
      failures.push({ label, file, error: result })
      continue
    }
    const medians = result.rounds.map(median)
    const latency = estimate(medians)
    const runs = latencyOf(result.rounds)
    rows.push({
      where: device,
      label,
      file,
      batch,
      inputs,
      load: result.load,
      latency,
      runs,
      throughput: (batch * 1000) / runs.mean,
      noise: (latency.high - latency.low) / 2 / latency.median,
      ...(result.memory === undefined ? {} : { memory: { page: result.memory } }),
      ...(first ? { speedup: speedupOf(first, medians) } : {}),
    })
    first ??= medians
  }
}

/** Latencies of small models differ in the second digit behind the point. */
export function milliseconds(ms: number): string {
  return `${ms < 100 ? ms.toPrecision(3) : ms.toFixed(0)} ms`
}

function lines({ label, where, inputs, latency, runs, throughput, noise, memory, load, speedup }: Row): string[] {
  // An interval that holds 1 tells nothing.
  const sure = speedup && (speedup.low > 1 || speedup.high < 1)
  const versus = !speedup
    ? ''
    : sure
      ? `, ${speedup.median.toFixed(2)} times as fast as the first (95 %: ${speedup.low.toFixed(2)} to ${speedup.high.toFixed(2)})`
      : ', as fast as the first within the noise'
  const shapes = Object.entries(inputs).map(([name, dims]) => `${name} [${dims.join(', ')}]`)
  const used = !memory
    ? ''
    : 'page' in memory
      ? `, memory of the page ${formatBytes(memory.page)}`
      : `, memory ${formatBytes(memory.running)} (${formatBytes(memory.peak)} at most with the runtime)`
  return [
    pc.bold(where === 'node' ? label : `${label} in Chromium, ${where}`),
    `  ${milliseconds(latency.median)} a run (95 %: ${milliseconds(latency.low)} to ${milliseconds(latency.high)}, noise ${(noise * 100).toFixed(1)} %)${versus}`,
    `  p50 ${milliseconds(runs.p50)}, p90 ${milliseconds(runs.p90)}, p99 ${milliseconds(runs.p99)}, mean ${milliseconds(runs.mean)} (95 %: ${milliseconds(runs.meanLow)} to ${milliseconds(runs.meanHigh)}) of ${runs.count} runs`,
    `  ${throughput.toPrecision(4)} items a second; opened in ${formatDuration(load)}${used}`,
    pc.dim(`  ${shapes.join(', ')}`),
  ]
}
