import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { PluginOptions } from 'unplugin-onnx'
import onnx from 'unplugin-onnx/vite'
import { createBuilder } from 'vite'
import { afterEach, expect, test, vi } from 'vitest'

const project = resolve(import.meta.dirname, '../..')
const root = join(project, '.cache/test-bundlers/targets')

const targets: PluginOptions['targets'] = {
  page: { device: 'wasm' },
  gpu: { device: 'webgpu' },
  server: { device: 'cpu' },
  cuda: { device: 'cuda' },
}

/**
 * Builds one module for Vite's environments `client` and `ssr`, as Vite builds an app.
 * @returns per environment the names of the targets that its output has
 */
async function build(query: string, options: PluginOptions = {}, mode = 'production') {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  copyFileSync(join(project, 'fixtures/digits-cnn.onnx'), join(root, 'm.onnx'))
  writeFileSync(join(root, 'main.js'), `import m from './m.onnx${query}'\nglobalThis.model = m\n`)
  const builder = await createBuilder({
    root,
    mode,
    configFile: false,
    logLevel: 'silent',
    build: { minify: false, write: false, rolldownOptions: { input: join(root, 'main.js') } },
    environments: { client: {}, ssr: {} },
    plugins: [onnx({ targets, dts: false, report: false, ...options })],
  })
  const found: Record<string, string> = {}
  for (const name of ['client', 'ssr']) {
    const built = (await builder.build(builder.environments[name]!)) as { output: { type: string; code?: string }[] }
    const code = built.output.map((part) => part.code ?? '').join('\n')
    found[name] = [...code.matchAll(/\btarget: "(\w+)",\s+device:/g)].map(([, target]) => target).join()
  }
  return found
}

afterEach(() => vi.unstubAllEnvs())

test('by the query', async () => {
  expect(await build('?target=gpu')).toEqual({ client: 'gpu', ssr: 'gpu' })
})

test('by several in the query: each environment takes what it can run', async () => {
  expect(await build('?targets=gpu,cuda,page,server')).toEqual({ client: 'gpu,page', ssr: 'cuda,server' })
})

test("by Vite's environment, without or with a word about it", async () => {
  expect(await build('')).toEqual({ client: 'page', ssr: 'server' })
  const target = { client: ['gpu', 'page'], server: 'cuda' }
  expect(await build('', { target })).toEqual({ client: 'gpu,page', ssr: 'cuda' })
})

test('by the mode', async () => {
  const target = { staging: 'page', client: 'gpu', server: 'server' }
  expect(await build('', { target }, 'staging')).toEqual({ client: 'page', ssr: 'page' })
  expect(await build('', { target })).toEqual({ client: 'gpu', ssr: 'server' })
})

test('by the configuration, for all or for some models', async () => {
  expect(await build('', { target: 'gpu' })).toEqual({ client: 'gpu', ssr: 'gpu' })
  expect(await build('', { models: { 'm.onnx': { targets: ['gpu', 'server'] } } })).toEqual({
    client: 'gpu',
    ssr: 'server',
  })
})

test('by the environment variable', async () => {
  vi.stubEnv('ONNX_TARGET', 'gpu,page,cuda')
  expect(await build('')).toEqual({ client: 'gpu,page', ssr: 'cuda' })
})

test('what only Node runs is an error in a page', async () => {
  await expect(build('?target=cuda')).rejects.toThrow(/TARGET_ENVIRONMENT[\s\S]*'cuda'[\s\S]*main\.js/)
  await expect(build('', { target: 'server' })).rejects.toThrow(/TARGET_ENVIRONMENT/)
})
