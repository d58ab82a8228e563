import { rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type { Page } from 'playwright-core'
import { generateModule } from '../../../src/codegen/module.ts'
import type { Model as Graph } from '../../../src/graph/model.ts'
import { writeModel } from '../../../src/graph/write.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { modelInfo } from '../../../src/pipeline/info.ts'
import { process } from '../../passes/processing/support.ts'
import { launchChromium, serve } from '../../support/chromium.ts'
import { serveApp } from './app.ts'
import { root } from './emitted.ts'

type Steps = Parameters<typeof process>[1]

let count = 0

/** Adds steps to a model, writes it into the folder, and gives the module that a bundler would get for it. */
export async function emitSteps(folder: string, model: Graph, steps: Steps, runtime: 'web' | 'node'): Promise<string> {
  const { media = {}, result, tokenizer } = await process(model, steps, join(folder, 'model.onnx'))
  await createOrtService().inferTypes(model)
  const name = `steps-${count++}`
  const file = join(folder, `${name}.onnx`)
  rmSync(file, { force: true })
  const [written] = await writeModel(model, file, { location: `${name}.data` })
  const url = (path: string) => JSON.stringify(runtime === 'web' ? `./${path}` : pathToFileURL(join(folder, path)).href)
  const part = (build: string) => ({ mjs: `"./ort/${build}.mjs"`, wasm: `"./ort/${build}.wasm"` })
  if (tokenizer) writeFileSync(join(folder, `${name}.tokenizer`), tokenizer)
  const variant = {
    info: modelInfo(model, [], { media, result }),
    bytes: written!.bytes,
    urlExpression: url(`${name}.onnx`),
    external: [],
    ...(tokenizer
      ? { tokenizer: { name: 'm.tokenizer', bytes: tokenizer.length, urlExpression: url(`${name}.tokenizer`) } }
      : {}),
  }
  return generateModule({
    as: 'session',
    runtime,
    importRuntime: resolve(root, `src/runtime/${runtime}.ts`),
    variants:
      runtime === 'node'
        ? [{ ...variant, target: 'cpu', device: 'cpu' }]
        : [
            { ...variant, target: 'wasm', device: 'wasm', wasm: part('ort-wasm-simd-threaded') },
            { ...variant, target: 'gpu', device: 'webgpu', wasm: part('ort-wasm-simd-threaded.asyncify') },
          ],
  })
}

/** The default export of an emitted module, in this process. */
export async function loadEmitted<T>(folder: string, contents: string): Promise<T> {
  const outfile = join(folder, `main-${count++}.mjs`)
  await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    outfile,
    format: 'esm',
    platform: 'node',
    packages: 'external',
  })
  return ((await import(outfile)) as { default: T }).default
}

/** Runs `use` with a page that has loaded `app`, in which `model` is the emitted module; files come from the folder. */
export async function withPage(
  { folder, module, app, webgpu = false }: { folder: string; module: string; app: string; webgpu?: boolean },
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const files = await serveApp(`import model from 'model'\n${app}\nglobalThis.ready = true`, module, (name) =>
    /^steps-\d+\.\w+$/.test(name) ? join(folder, name) : undefined,
  )
  const server = await serve(files)
  const browser = await launchChromium({ webgpu })
  try {
    const page = await browser.newPage()
    await page.goto(`${server.origin}/app/`)
    await page.waitForFunction(() => 'ready' in globalThis)
    await use(page)
  } finally {
    await browser.close()
    await server.close()
  }
}
