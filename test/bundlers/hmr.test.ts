import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Page } from 'playwright-core'
import onnx from 'unplugin-onnx/vite'
import { createLogger, createServer, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'

const project = resolve(import.meta.dirname, '../..')
const fixture = join(project, 'fixtures/digits-cnn.onnx')
const root = join(project, '.cache/test-bundlers/hmr')
const model = join(root, 'digits.onnx')
const lines: string[] = []

let server: ViteDevServer
let browser: Awaited<ReturnType<typeof launchChromium>>
let page: Page

/** Calibration data: `count` images, all of one grey. */
function calibrate(count: number, grey: number): void {
  const image = [[Array.from({ length: 8 }, () => Array(8).fill(grey))]]
  const line = JSON.stringify({ image: [image[0]] })
  writeFileSync(join(root, 'calib.jsonl'), `${line}\n`.repeat(count))
}

beforeAll(async () => {
  if (!chromiumPath) return
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  cpSync(join(import.meta.dirname, 'hmr-app'), root, { recursive: true })
  copyFileSync(fixture, model)
  calibrate(4, 0.5)
  const customLogger = createLogger('info')
  customLogger.info = (message) => void lines.push(message)
  customLogger.warn = (message) => void lines.push(message)
  customLogger.error = (message) => void lines.push(message)
  server = await createServer({
    root,
    configFile: false,
    customLogger,
    cacheDir: join(root, '.vite'),
    server: { port: 0 },
    plugins: [onnx({ report: false, dts: false })],
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

type State = { url: string; swaps: number; finite: boolean }
const state = () => page.evaluate('state()') as Promise<State>
/** The model with the exponent of one weight changed. */
function changed(bits: number): Buffer {
  const bytes = readFileSync(fixture)
  bytes[(bytes.length >> 3) * 4 + 3]! ^= bits
  return bytes
}
const swapped = async (before: State): Promise<State> => {
  await page.waitForFunction(`current().swaps > ${before.swaps} && current().url !== '${before.url}'`)
  return state()
}

test.skipIf(!chromiumPath)('a changed model is swapped in the page, without a reload', async () => {
  const before = await state()
  expect(before).toMatchObject({ swaps: 0, finite: true })
  writeFileSync(model, changed(64))
  const after = await swapped(before)
  expect(after.finite).toBe(true)
  expect(after.url).not.toBe(before.url)
  expect(await page.evaluate('globalThis.marker')).toBe(1)
})

test.skipIf(!chromiumPath)('changed calibration data too', async () => {
  const before = await state()
  calibrate(4, 40)
  const after = await swapped(before)
  expect(after.url).not.toBe(before.url)
  expect(await page.evaluate('globalThis.marker')).toBe(1)
})

test.skipIf(!chromiumPath)(
  'a failure is shown over the page and in the terminal, and ends with the next good model',
  async () => {
    const before = await state()
    writeFileSync(model, 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n')
    const overlay = page.locator('vite-error-overlay')
    await overlay.waitFor({ state: 'attached' })
    expect(await overlay.locator('.message').textContent()).toContain('MODEL_GIT_LFS')
    expect(lines.join('\n')).toContain('MODEL_GIT_LFS')
    // The session that was there still runs.
    expect((await state()).finite).toBe(true)
    writeFileSync(model, changed(32))
    const after = await swapped(before)
    expect(after.finite).toBe(true)
    await overlay.waitFor({ state: 'detached' })
    expect(await page.evaluate('globalThis.marker')).toBe(1)
  },
)
