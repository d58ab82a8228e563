import { readFileSync, writeFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import pc from 'picocolors'
import type { BenchResult } from '../measure/bench.ts'
import { type TuneStep, tune } from '../measure/tune.ts'
import { sessionPresetFile } from '../pipeline/session-preset.ts'
import { milliseconds } from './bench.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { findModels } from './models.ts'

/** `tune`: session options with which a model runs faster here. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const [file] = await findModels(operands, io.cwd)
  const result = await tune(
    file!,
    {
      files: ((flags['inputs'] as readonly string[] | undefined) ?? []).map((path) => resolve(io.cwd, path)),
      samples: 1,
      rounds: flags['runs'] as number,
      warmUp: 3,
      margin: (flags['margin'] as number) / 100,
      onStep: (step) => flags['json'] || io.out(stepLine(step)),
    },
    flags['providers'] as readonly string[] | undefined,
  )
  const target = flags['target'] as string
  const out = resolve(io.cwd, (flags['out'] as string | undefined) ?? sessionPresetFile(file!))
  const presets = { ...existing(out), [target]: result.options }
  writeFileSync(out, `${JSON.stringify(presets, undefined, 2)}\n`)
  if (flags['json']) io.out(JSON.stringify({ target, file: out, ...result }, undefined, 2))
  else {
    const { before, after } = result
    const ratio = before.latency.median / after.latency.median
    io.out('')
    io.out(`default ${latency(before)}, tuned ${latency(after)}: ${ratio.toFixed(2)} times as fast`)
    io.out(`${pc.bold(relative(io.cwd, out))} has the options for the target '${target}'`)
  }
  return EXIT.ok
}

/** Presets of other targets stay. */
function existing(file: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
  } catch {
    return {}
  }
}

function stepLine({ name, tried, chosen }: TuneStep): string {
  const list = tried.map(({ label, result }) => {
    const text = `${label} ${milliseconds(result.latency.median)}`
    return label === chosen ? pc.green(text) : pc.dim(text)
  })
  return `${name.padEnd(10)} ${list.join(', ')}`
}

function latency({ latency: { median, low, high } }: BenchResult): string {
  return `${milliseconds(median)} (95 %: ${milliseconds(low)} to ${milliseconds(high)})`
}
