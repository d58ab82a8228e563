import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type BundlerName, bundle, type Job } from './bundle.ts'

export const appFolder: string = resolve(import.meta.dirname, 'app')
/** A folder of this test process: files run in parallel. */
export const scratch: string = resolve(
  import.meta.dirname,
  '../../.cache/test-bundlers',
  process.env['VITEST_POOL_ID'] ?? '0',
)

export const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
export const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((f) => f.replaceAll('\\', '/'))
export const models = (folder: string): string[] => files(folder).filter((file) => file.endsWith('.onnx'))
export const texts = (folder: string): string[] =>
  files(folder)
    .filter((file) => /\.[cm]?js$/.test(file))
    .map((file) => readFileSync(join(folder, file), 'utf8'))

export async function output(name: BundlerName, job: Partial<Job> & Pick<Job, 'entry'>): Promise<string> {
  const { platform = 'node', format = 'esm' } = job
  const outDir = join(scratch, `${name}-${job.entry}-${platform}-${format}`)
  rmSync(outDir, { recursive: true, force: true })
  await bundle[name]({ root: appFolder, outDir, platform, format, ...job })
  return outDir
}

/** Runs the output in this process. */
export const load = async <T>(folder: string, format: 'esm' | 'cjs' = 'esm'): Promise<T> =>
  (await import(/* @vite-ignore */ pathToFileURL(join(folder, format === 'cjs' ? 'main.cjs' : 'main.js')).href)) as T

export interface Prediction {
  label: number
  scores: number[]
  target: string
  url: string
}

/** The message of a failed build, wherever the bundler puts it. */
export async function failure(run: () => Promise<unknown>): Promise<string> {
  const said: string[] = []
  const { error, warn, log } = console
  console.error = console.warn = console.log = (...args: unknown[]) => void said.push(args.map(String).join(' '))
  try {
    await run()
  } catch (thrown) {
    return [String(thrown), ...said].join('\n')
  } finally {
    Object.assign(console, { error, warn, log })
  }
  throw new Error('the build did not fail')
}
