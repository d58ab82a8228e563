import { relative, resolve } from 'node:path'
import pc from 'picocolors'
import { type BenchResult, bench } from '../measure/bench.ts'
import { formatBytes, formatDuration } from '../report/index.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { findModels } from './models.ts'

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
  const results = await bench(contenders, {
    files: ((flags['inputs'] as readonly string[] | undefined) ?? []).map((file) => resolve(io.cwd, file)),
    samples: 1,
    rounds: flags['runs'] as number,
    warmUp: flags['warmUp'] as number,
  })
  if (flags['json']) io.out(JSON.stringify(results, undefined, 2))
  else for (const result of results) for (const line of lines(result, results[0]!)) io.out(line)
  return EXIT.ok
}

/** Latencies of small models differ in the second digit behind the point. */
export function milliseconds(ms: number): string {
  return `${ms < 100 ? ms.toPrecision(3) : ms.toFixed(0)} ms`
}

function lines(result: BenchResult, first: BenchResult): string[] {
  const { latency, throughput, noise, memory, load } = result
  const ratio = first.latency.median / latency.median
  // Two intervals that overlap tell nothing.
  const sure = latency.low > first.latency.high || latency.high < first.latency.low
  const versus =
    result === first
      ? ''
      : sure
        ? `, ${ratio.toFixed(2)} times as fast as the first`
        : ', as fast as the first within the noise'
  return [
    pc.bold(result.label),
    `  ${milliseconds(latency.median)} a run (95 %: ${milliseconds(latency.low)} to ${milliseconds(latency.high)}, noise ${(noise * 100).toFixed(1)} %)${versus}`,
    `  ${throughput.toPrecision(4)} items a second; opened in ${formatDuration(load)}, memory ${formatBytes(memory.running)}`,
  ]
}
