import { existsSync, readFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import pc from 'picocolors'
import { writeIfChanged } from '../codegen/write.ts'
import type { BenchResult } from '../measure/bench/node.ts'
import { type TuneStep, tune } from '../measure/tune/index.ts'
import { OnnxError } from '../onnx/errors.ts'
import { parseSessionPresets, sessionPresetFile } from '../pipeline/session-preset.ts'
import { milliseconds } from './bench.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { findModels } from './models.ts'
import { wantedRoles, wantedSizes } from './sizes.ts'

/** `tune`: session options with which a model runs faster here. */
export async function run({ operands, flags }: Invocation, io: Io): Promise<number> {
  const [file] = await findModels(operands, io.cwd)
  const out = resolve(io.cwd, (flags['out'] as string | undefined) ?? sessionPresetFile(file!))
  // Presets of other targets stay. A damaged file is told before anything is measured.
  const others = existsSync(out) ? parseSessionPresets(readFileSync(out, 'utf8'), out) : {}
  const [providers, intraOp, interOp] = [
    flags['providers'] as readonly string[] | undefined,
    threadList(flags, 'threads'),
    threadList(flags, 'interThreads'),
  ]
  const result = await tune(file!, {
    files: ((flags['inputs'] as readonly string[] | undefined) ?? []).map((path) => resolve(io.cwd, path)),
    samples: 1,
    sizes: wantedSizes(flags),
    roles: wantedRoles(flags),
    rounds: flags['runs'] as number,
    warmUp: 3,
    margin: (flags['margin'] as number) / 100,
    ...(providers ? { providers } : {}),
    ...(intraOp ? { intraOp } : {}),
    ...(interOp ? { interOp } : {}),
    onStep: (step) => {
      if (!flags['json']) for (const line of stepLines(step)) io.out(line)
    },
  })
  const target = flags['target'] as string
  await writeIfChanged(out, `${JSON.stringify({ ...others, [target]: result.options }, undefined, 2)}\n`)
  if (flags['json']) io.out(JSON.stringify({ target, file: out, ...result }, undefined, 2))
  else {
    const { before, after, confirmed } = result
    io.out('')
    io.out(
      confirmed
        ? `default ${latency(before)}, tuned ${latency(after)}: ${after.speedup!.median.toFixed(2)} times as fast (95 %: ${after.speedup!.low.toFixed(2)} to ${after.speedup!.high.toFixed(2)})`
        : `default ${latency(before)}: nothing is surely faster`,
    )
    io.out(`${pc.bold(relative(io.cwd, out))} has the options for the target '${target}'`)
  }
  return EXIT.ok
}

function threadList(flags: Invocation['flags'], key: string): number[] | undefined {
  const texts = flags[key] as readonly string[] | undefined
  return texts?.map((text) => {
    if (!/^[1-9]\d{0,3}$/.test(text))
      throw new OnnxError('OPTION_VALUE', `'${text}' is no number of threads`, { hint: 'Expected e.g. 1,2,4.' })
    return Number(text)
  })
}

function stepLines({ name, tried, chosen }: TuneStep): string[] {
  const list = tried
    .filter(({ error }) => error === undefined)
    .map(({ label, ms }) => {
      const text = `${label} ${milliseconds(ms!)}`
      return label === chosen ? pc.green(text) : pc.dim(text)
    })
  return [
    `${name.padEnd(10)} ${list.join(', ')}`,
    ...tried.flatMap(({ label, error }) =>
      error === undefined ? [] : [pc.yellow(`  ${label} is left out: ${error}`)],
    ),
  ]
}

function latency({ latency: { median, low, high } }: BenchResult): string {
  return `${milliseconds(median)} (95 %: ${milliseconds(low)} to ${milliseconds(high)})`
}
