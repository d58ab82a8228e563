import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'
import { serveFolder } from '../support/serve-folder.ts'
import { BUNDLERS, type BundlerName } from './bundle.ts'
import { appFolder, failure, files, load, models, output, type Prediction, sha, texts } from './output.ts'

/** What differs between bundlers, and is right that way. */
const EXPECTED: Record<BundlerName, { asset: RegExp; wasmFiles: number }> = {
  vite: { asset: /^assets\/digits-cnn-[\w-]{8}\.onnx$/, wasmFiles: 1 },
  rollup: { asset: /^assets\/digits-cnn-[\w-]{8}\.onnx$/, wasmFiles: 2 },
  rolldown: { asset: /^assets\/digits-cnn-[\w-]{8}\.onnx$/, wasmFiles: 2 },
  webpack: { asset: /^digits-cnn-[0-9a-f]{8}\.onnx$/, wasmFiles: 1 },
  rspack: { asset: /^digits-cnn-[0-9a-f]{8}\.onnx$/, wasmFiles: 1 },
  esbuild: { asset: /^digits-cnn-[0-9A-Z]{8}\.onnx$/, wasmFiles: 2 },
  farm: { asset: /^digits-cnn\.[\w-]+\.onnx$/, wasmFiles: 2 },
}

describe.each(BUNDLERS)('%s', (name) => {
  const { asset } = EXPECTED[name]

  test.each(['esm', 'cjs'] as const)('%s output for Node predicts', async (format) => {
    const folder = await output(name, { entry: 'predict.js', format })
    const { predict } = await load<{ predict(): Promise<Prediction> }>(folder, format)
    const { label, target, url } = await predict()
    expect(label).toBe(7)
    expect(target).toBe('node')
    expect(fileURLToPath(url).slice(folder.length + 1)).toMatch(asset)
  })

  test('a key of a query that comes several times is a list', async () => {
    const { info } = await load<{ info: { ops: object } }>(await output(name, { entry: 'repeated.js' }))
    expect(info.ops).toMatchObject({ ConvInteger: 6, MatMulInteger: 1 })
  })

  test('every form of one model is one asset', async () => {
    const folder = await output(name, { entry: 'forms.js' })
    const forms = await load<Record<'url' | 'viaNew', string> & { bytes(): Promise<Uint8Array>; info: object }>(folder)
    expect(models(folder)).toEqual([expect.stringMatching(asset)])
    const emitted = readFileSync(fileURLToPath(forms.url))
    expect(sha(await forms.bytes())).toBe(sha(emitted))
    expect(forms.viaNew).toBe(forms.url)
    expect(forms.info).toMatchObject({
      inputs: [{ name: 'image', dtype: 'float32', shape: ['batch_size', 1, 8, 8] }],
      outputs: [{ name: 'logits' }],
    })
  })

  test('the path of the file', async () => {
    const { path } = await load<{ path: string }>(await output(name, { entry: 'path.js' }))
    expect(existsSync(path)).toBe(true)
  })

  test('a wrong option names the import and the nearest right one', async () => {
    const message = await failure(() => output(name, { entry: 'typo.js' }))
    expect(message).toContain('optimise')
    expect(message).toContain('digits-cnn.onnx')
    expect(message).toContain('typo.js')
  })

  test('source maps of the importing code stay right', async () => {
    const folder = await output(name, { entry: 'forms.js' })
    const maps = files(folder).filter((file) => file.endsWith('.map'))
    const sources = maps.flatMap((file) => {
      const map = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Record<'sources' | 'sourcesContent', string[]>
      return map.sources.map((source, i) => [source, map.sourcesContent[i]] as const)
    })
    const own = sources.find(([source]) => source.endsWith('forms.js'))
    expect(own?.[1]).toBe(readFileSync(join(appFolder, 'forms.js'), 'utf8'))
  })
})

describe.skipIf(!chromiumPath).each(BUNDLERS)('%s, in a browser', (name) => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('predicts with files of its own output only', async () => {
    const folder = await output(name, { entry: 'predict.js', platform: 'web' })
    expect(models(folder)).toEqual([expect.stringMatching(EXPECTED[name].asset)])
    expect(files(folder).filter((file) => /\.wasm$|ort-wasm.*\.mjs$/.test(file))).toHaveLength(EXPECTED[name].wasmFiles)
    // These are named in messages to developers; no address may be one to load from.
    const hosts = texts(folder).flatMap((text) =>
      [...text.matchAll(/https?:\/\/([\w.-]+\.\w+)/g)].map(([, host]) => host),
    )
    expect(hosts.filter((host) => host !== 'web.dev' && host !== 'rolldown.rs')).toEqual([])
    const server = await serveFolder(folder)
    const page = await browser.newPage()
    const requests: string[] = []
    const errors: string[] = []
    page.on('request', (request) => requests.push(request.url()))
    page.on('pageerror', (error) => errors.push(String(error)))
    page.on('console', (message) => void (message.type() === 'error' && errors.push(message.text())))
    try {
      await page.goto(`${server.origin}/`)
      await page.waitForFunction('globalThis.predict', undefined, { timeout: 10_000 }).catch(() => {})
      expect(errors).toEqual([])
      const { label, target } = (await page.evaluate('predict()')) as Prediction
      expect({ label, target }).toEqual({ label: 7, target: 'web' })
      expect(requests.filter((url) => !url.startsWith(server.origin) && !/^(?:data|blob):/.test(url))).toEqual([])
    } finally {
      await page.close()
      await server.close()
    }
  })
})
