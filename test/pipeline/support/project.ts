import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterEach } from 'vitest'
import type { Note } from '../../../src/passes/pass.ts'
import { createPipeline, type Pipeline, type PipelineConfig } from '../../../src/pipeline/index.ts'
import type { BuildRequest } from '../../../src/pipeline/types.ts'
import { tinyModel } from '../../support/tiny-model.ts'
import { passes } from './passes.ts'

/** Bytes of a model that adds its input to itself. */
export function addModel(name = 'x'): Uint8Array {
  return tinyModel(
    [{ op: 'Add', inputs: [name, name], outputs: ['y'] }],
    { [name]: { type: 1, dims: ['batch', 4] } },
    { y: { type: 1, dims: ['batch', 4] } },
  )
}

/** A model with a long doc string; by default so long that building starts before its hash is known. */
export function bigModel(bytes: number = 5 << 20): Uint8Array {
  // Field 6 of ModelProto is its doc string.
  const text = Buffer.alloc(bytes, 'x')
  const length: number[] = []
  for (let rest = text.length; ; rest >>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) break
  }
  return Buffer.concat([addModel(), Uint8Array.from([(6 << 3) | 2, ...length]), text])
}

/** A folder with a package.json, removed after the test. */
export class Project {
  readonly root: string = realpathSync(mkdtempSync(join(tmpdir(), 'unplugin-onnx-test-')))
  readonly warnings: Note[] = []
  readonly #pipelines: Pipeline[] = []

  constructor() {
    writeFileSync(join(this.root, 'package.json'), '{}')
    open.add(this)
  }

  get cache(): string {
    return join(this.root, 'node_modules/.cache/unplugin-onnx')
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts)
  }

  /** Writes a file, by default one that looks an hour old: fresh files are not remembered by their stamp. */
  write(name: string, content: Uint8Array | string, age = 3600): string {
    const file = this.path(name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    const time = Date.now() / 1000 - age
    utimesSync(file, time, time)
    return file
  }

  pipeline(config: PipelineConfig = {}): Pipeline {
    const pipeline = createPipeline({ root: this.root, passes, onWarn: (note) => this.warnings.push(note), ...config })
    this.#pipelines.push(pipeline)
    return pipeline
  }

  /** Names of what lies in the cache's `entries` and `staging`. */
  ls(part: 'entries' | 'staging', cache: string = this.cache): string[] {
    try {
      return readdirSync(join(cache, part)).sort()
    } catch {
      return []
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#pipelines.map((pipeline) => pipeline.close()))
    rmSync(this.root, { recursive: true, force: true })
  }
}

const open = new Set<Project>()
afterEach(async () => {
  for (const project of open) await project.close()
  open.clear()
})

/** A request with these parameters, for the CPU. */
export function request(file: string, params: Record<string, unknown> = {}, importSite?: string): BuildRequest {
  return { file, options: { device: 'cpu', params }, ...(importSite ? { importSite } : {}) }
}

/** Bundles a TypeScript entry for Node, beside the project's packages. Returns its URL. */
export async function bundleWorker(source: string): Promise<{ url: URL; remove(): void }> {
  const ignored = join(import.meta.dirname, '../../../.cache')
  mkdirSync(ignored, { recursive: true })
  const folder = mkdtempSync(join(ignored, 'worker-'))
  await build({
    entryPoints: [source],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'silent',
  })
  return {
    url: pathToFileURL(join(folder, basename(source).replace(/\.ts$/, '.mjs'))),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
