import { resolve } from 'node:path'
import pc from 'picocolors'
import { bench } from '../measure/bench/node.ts'
import type { Estimate } from '../measure/confidence.ts'
import { saveInputs } from '../measure/inputs/save.ts'
import type { Feeds } from '../measure/isolated.ts'
import { isWithin } from '../measure/metrics.ts'
import { type ValueDifference, Versus } from '../measure/versus.ts'
import { milliseconds } from './bench.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { findModels } from './models.ts'
import { wantedRoles, wantedSizes } from './sizes.ts'

/** What `compare --json` prints. */
interface Result {
  reference: string
  candidate: string
  /** True if everything is within the bars. */
  same: boolean
  samples: number
  passed: number
  outputs: ValueDifference[]
  intermediates: ValueDifference[]
  /** Milliseconds per run, and how many times faster the candidate is. */
  latency?: { reference: Estimate; candidate: Estimate; speedup: Estimate }
}

/** `compare`: two models on the same inputs. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const [reference, candidate] = (await Promise.all(operands.map((operand) => findModels([operand], io.cwd)))).flat()
  const files = ((flags['inputs'] as readonly string[] | undefined) ?? []).map((file) => resolve(io.cwd, file))
  const cosine = flags['cosine'] as number | undefined
  const perElement = cosine === undefined || flags['rtol'] !== undefined || flags['atol'] !== undefined
  const tolerance = {
    rtol: (flags['rtol'] as number | undefined) ?? 1e-3,
    atol: (flags['atol'] as number | undefined) ?? 1e-4,
  }
  const source = {
    files,
    samples: flags['samples'] as number,
    seed: flags['seed'] as number,
    roles: wantedRoles(flags),
    provider: flags['provider'] as string | undefined,
  }
  const versus = await Versus.open(reference!, candidate!, flags['rounded'] === true)
  try {
    const compared = await versus.compare({
      ...source,
      sizes: wantedSizes(flags),
      tolerance,
      intermediates: flags['intermediates'] === true,
    })
    if (typeof flags['saveInputs'] === 'string') saveInputs(resolve(io.cwd, flags['saveInputs']), versus.feeds)
    const bars = { cosine: cosine ?? -1, ...(perElement ? tolerance : {}) }
    const isGood = (row: ValueDifference): boolean => isWithin(row, bars)
    const runs = flags['runs'] as number
    const result: Result = {
      reference: reference!,
      candidate: candidate!,
      same: compared.outputs.every(isGood),
      ...compared,
      ...(runs > 0
        ? { latency: await latency([reference!, candidate!], versus.feeds[0] ?? {}, runs, source.provider) }
        : {}),
    }
    if (flags['json']) io.out(JSON.stringify(result, finite, 2))
    else {
      const { passed, samples } = result
      io.out(pc.bold(perElement ? `${passed} of ${samples} samples within the tolerance` : `${samples} samples`))
      for (const line of lines(result, isGood, perElement)) io.out(line)
    }
    return result.same ? EXIT.ok : EXIT.failed
  } finally {
    versus.close()
  }
}

async function latency(
  files: readonly string[],
  feeds: Feeds,
  rounds: number,
  provider: string | undefined,
): Promise<NonNullable<Result['latency']>> {
  const contenders = files.map((file, i) => ({
    label: String(i),
    file,
    options: {
      graphOptimizationLevel: 'all' as const,
      ...(provider === undefined ? {} : { executionProviders: [provider] }),
    },
  }))
  const { results, failures } = await bench(contenders, { files: [], samples: 1, feeds, rounds, warmUp: 3 })
  const [reference, candidate] = results
  if (!reference || !candidate?.speedup) throw failures[0]!.error
  return { reference: reference.latency, candidate: candidate.latency, speedup: candidate.speedup }
}

function lines(result: Result, isGood: (row: ValueDifference) => boolean, perElement: boolean): string[] {
  const rows = (list: readonly ValueDifference[]): string[] =>
    list.map((row) => {
      const mark = isGood(row) ? pc.green('✓') : pc.red('✗')
      if (row.mismatch) return `  ${mark} ${row.name}: ${row.mismatch}`
      if (row.maxAbs === 0) return `  ${mark} ${row.name}: equal`
      const outside =
        perElement && row.outside ? `, ${row.outside} of ${row.elements} elements beyond the tolerance` : ''
      const broken = row.broken ? `, ${row.broken} NaN or infinite` : ''
      return `  ${mark} ${row.name}: largest error ${row.maxAbs.toPrecision(3)} (${(row.maxRel * 100).toPrecision(3)} % of the largest value), cosine ${row.cosine.toFixed(6)}, SQNR ${row.sqnr.toFixed(1)} dB${outside}${broken}`
    })
  const { latency, intermediates } = result
  const worst = [...intermediates].sort((a, b) => a.cosine - b.cosine).slice(0, 20)
  const first = intermediates.find((row) => !isGood(row))
  const times = (at: Estimate): string =>
    `${milliseconds(at.median)} (${milliseconds(at.low)} to ${milliseconds(at.high)})`
  return [
    ...rows(result.outputs),
    ...(worst.length
      ? ['', pc.bold(`Values inside that both have: ${intermediates.length}, the least alike`), ...rows(worst)]
      : []),
    ...(first ? [`  It first goes wrong at ${first.name}`] : []),
    ...(latency
      ? [
          '',
          `Latency ${times(latency.reference)} -> ${times(latency.candidate)}: ${latency.speedup.median.toFixed(2)} times as fast (95 %: ${latency.speedup.low.toFixed(2)} to ${latency.speedup.high.toFixed(2)})`,
        ]
      : []),
  ]
}

/** JSON has no infinite numbers: they are written as text. */
function finite(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}
