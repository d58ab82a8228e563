import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Page } from 'playwright-core'
import onnx from 'unplugin-onnx/vite'
import { createLogger, createServer, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'

const project = resolve(import.meta.dirname, '../..')
const root = join(project, '.cache/test-bundlers/hmr-options')
const options = join(root, 'onnx.config.json')

let server: ViteDevServer
let browser: Awaited<ReturnType<typeof launchChromium>>
let page: Page

beforeAll(async () => {
  if (!chromiumPath) return
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  cpSync(join(import.meta.dirname, 'hmr-options-app'), root, { recursive: true })
  for (const name of ['digits', 'other'])
    copyFileSync(join(project, 'fixtures/digits-cnn.onnx'), join(root, `${name}.onnx`))
  server = await createServer({
    root,
    configFile: false,
    customLogger: createLogger('silent'),
    cacheDir: join(root, '.vite'),
    server: { port: 0 },
    plugins: [onnx({ report: false, dts: false, device: 'wasm' })],
  })
  await server.listen()
  browser = await launchChromium()
  page = await browser.newPage()
  await page.goto(server.resolvedUrls!.local[0]!)
  await page.waitForFunction('globalThis.state')
  await page.evaluate('globalThis.marker = 1')
})
afterAll(async () => {
  await browser?.close()
  await server?.close()
})

type State = { [name in 'digits' | 'other' | 'predict']: { url: string; swaps: number } }
const state = () => page.evaluate('state()') as Promise<State>

/** What the page shows once one of its models has been swapped. The page itself stays. */
async function swapped(name: keyof State, before: State): Promise<State> {
  await page.waitForFunction(`state().${name}.swaps > ${before[name].swaps}`)
  expect(await page.evaluate('globalThis.marker')).toBe(1)
  return state()
}

describe.skipIf(!chromiumPath)('options that change while the dev server runs', () => {
  test('a file of options that appears: only the models that it changes are swapped', async () => {
    const before = await state()
    expect(before.digits.url).not.toBe(before.predict.url)
    writeFileSync(options, JSON.stringify({ models: { 'digits.onnx': { dtype: 'q8' } } }))
    const after = await swapped('digits', before)
    // The import that says so itself was that already.
    expect(after.digits.url).toBe(before.predict.url)
    expect(after).toMatchObject({ other: before.other, predict: before.predict })
  })

  test('a changed one, a mistake over the page, and its repair', async () => {
    const before = await state()
    writeFileSync(options, JSON.stringify({ models: { 'digits.onnx': { dtype: 'q9' } } }))
    const overlay = page.locator('vite-error-overlay')
    await overlay.waitFor({ state: 'attached' })
    const message = await overlay.locator('.message').textContent()
    expect(message).toContain('OPTION_VALUE')
    expect(message).toContain('onnx.config.json')
    expect(await state()).toEqual(before)
    writeFileSync(options, JSON.stringify({ dtype: 'uint8' }))
    await swapped('other', before)
    const after = await swapped('digits', before)
    await overlay.waitFor({ state: 'detached' })
    expect(after.other.url).not.toBe(before.other.url)
  })

  test('without the file things are as before it', async () => {
    const before = await state()
    rmSync(options)
    expect((await swapped('other', before)).other.url).toMatch(/other\.onnx$/)
  })

  test('a changed query, in a module that is accepted', async () => {
    const before = await state()
    const file = join(root, 'predict.js')
    writeFileSync(file, readFileSync(file, 'utf8').replace('dtype=q8', 'dtype=fp16'))
    const after = await swapped('predict', before)
    expect(after.predict.url).not.toBe(before.predict.url)
    expect(after.digits).toEqual(before.digits)
  })
})
