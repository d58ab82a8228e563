import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import type { Browser } from 'playwright-core'
import { build, createLogger, type Plugin } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'
import { output, scratch } from './output.ts'
import { onServedPage } from './served-page.ts'

const root = join(scratch, 'worker-app')
const own = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')
const feeds = '{ image: { data: new Float32Array(64), dims: [1, 1, 8, 8] } }'

/** A page whose worker runs a model; with `shared` the page uses the same one. */
function app(shared: boolean): void {
  mkdirSync(root, { recursive: true })
  copyFileSync(own, join(root, 'digits.onnx'))
  writeFileSync(
    join(root, 'worker.js'),
    `import digits from './digits.onnx?dtype=q8'
    digits().then((session) => session.run(${feeds})).then(({ logits }) => postMessage([...logits.data]), (e) => postMessage(String(e)))`,
  )
  writeFileSync(
    join(root, 'main.js'),
    `${shared ? "import digits from './digits.onnx?dtype=q8'\nglobalThis.url = digits.url" : ''}
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
    worker.onmessage = ({ data }) => (globalThis.answer = data)`,
  )
  writeFileSync(join(root, 'index.html'), '<!doctype html><script type="module" src="./main.js"></script>')
}

/** Builds with Vite, which has nothing to warn of. */
async function viteOutput(): Promise<string> {
  const outDir = join(scratch, 'worker-vite')
  const said: string[] = []
  const log = (message: string): void => void said.push(message)
  const customLogger = { ...createLogger(), info: () => {}, warn: log, warnOnce: log, error: log }
  const plugin = (await import(/* @vite-ignore */ createRequire(import.meta.url).resolve('unplugin-onnx/vite'))) as {
    default: (options: object) => Plugin
  }
  const plugins = [plugin.default({ report: false, dts: false })]
  // How long plugins take is no matter of this.
  const rolldownOptions = { checks: { bundlerTimings: false } }
  await build({ root, configFile: false, customLogger, plugins, build: { outDir, emptyOutDir: true, rolldownOptions } })
  expect(said).toEqual([])
  return outDir
}

describe.skipIf(!chromiumPath)('a model in a web worker', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test.each([
    ['vite', 'alone', false],
    ['vite', 'and in the page', true],
    ['webpack', 'and in the page', true],
    ['rspack', 'and in the page', true],
  ] as const)('%s: %s', async (name, _, shared) => {
    app(shared)
    const folder =
      name === 'vite' ? await viteOutput() : await output(name, { root, entry: 'main.js', platform: 'web' })
    const models = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.onnx'))
    expect(models.map((file) => readFileSync(join(folder, file)).length < 50_000)).toEqual([true])
    await onServedPage(browser, folder, 'answer', async (page) => {
      expect(await page.evaluate('answer')).toHaveLength(10)
      expect(await page.evaluate('answer')).toEqual(expect.arrayContaining([expect.any(Number)]))
    })
  })
})
