import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import onnx from 'unplugin-onnx/vite'
import { createServer, type ViteDevServer } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'

const project = resolve(import.meta.dirname, '../..')
const fixtures = join(project, 'fixtures')
const root = join(project, '.cache/test-bundlers/vite-dev')
const model = join(root, 'digits.onnx')

let server: ViteDevServer
let url: string

beforeAll(async () => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  copyFileSync(join(fixtures, 'digits-cnn.onnx'), model)
  cpSync(join(import.meta.dirname, 'app'), root, { recursive: true })
  for (const file of ['predict.js', 'forms.js']) {
    const code = readFileSync(join(root, file), 'utf8').replaceAll('../../../fixtures/digits-cnn.onnx', './digits.onnx')
    writeFileSync(join(root, file), code)
  }
  server = await createServer({
    root,
    configFile: false,
    base: '/sub/',
    logLevel: 'silent',
    cacheDir: join(root, '.vite'),
    server: { port: 0 },
    plugins: [onnx({ report: false, dts: false })],
  })
  await server.listen()
  url = server.resolvedUrls!.local[0]!
})
afterAll(() => server?.close())

/** The URL in a module that a browser gets. */
async function clientUrl(): Promise<string> {
  const response = await fetch(`${url}digits.onnx?import&as=url`)
  expect(response.headers.get('content-type')).toMatch(/javascript/)
  return new URL(/String\("([^"]+)"\)/.exec(await response.text())![1]!, url).href
}

describe('files for the browser', () => {
  test('come with a neutral type, an ETag and by ranges', async () => {
    const asset = await clientUrl()
    expect(new URL(asset).pathname).toMatch(/^\/sub\/@unplugin-onnx\/[0-9a-f]{16}\/digits\.onnx$/)
    const whole = await fetch(asset)
    expect(whole.headers.get('content-type')).toBe('application/octet-stream')
    const bytes = new Uint8Array(await whole.arrayBuffer())
    expect(bytes.length).toBe(Number(whole.headers.get('content-length')))
    const part = await fetch(asset, { headers: { range: 'bytes=8-15' } })
    expect(part.status).toBe(206)
    expect(part.headers.get('content-range')).toBe(`bytes 8-15/${bytes.length}`)
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(bytes.slice(8, 16))
    const again = await fetch(asset, { headers: { 'if-none-match': whole.headers.get('etag')! } })
    expect(again.status).toBe(304)
  })
  test('that nobody asked for are not served', async () => {
    const response = await fetch(`${url}@unplugin-onnx/0000000000000000/package.json`, { headers: { accept: '*/*' } })
    expect(response.status).toBe(404)
  })
})

test('server code gets the file itself', async () => {
  const { predict } = (await server.ssrLoadModule('/predict.js')) as {
    predict(): Promise<{ label: number; target: string; url: string }>
  }
  const { label, target, url } = await predict()
  expect({ label, target }).toEqual({ label: 7, target: 'node' })
  expect(url).toMatch(/^file:/)
})

test.skipIf(!chromiumPath)('the page predicts, and comes again when the model changes', async () => {
  const browser = await launchChromium()
  try {
    const page = await browser.newPage()
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    await page.goto(url)
    await page.waitForFunction('globalThis.predict')
    const before = (await page.evaluate('predict()')) as { label: number; url: string }
    expect(before.label).toBe(7)
    expect(errors).toEqual([])

    const reloaded = page.waitForEvent('load')
    // An unknown field at the end of the file: other bytes, same model.
    writeFileSync(
      model,
      Buffer.concat([readFileSync(join(fixtures, 'digits-cnn.onnx')), Buffer.from([0xa0, 0x06, 0x01])]),
    )
    utimesSync(model, new Date(), new Date(Date.now() + 2000))
    await reloaded
    await page.waitForFunction('globalThis.predict')
    const after = (await page.evaluate('predict()')) as { label: number; url: string }
    expect(after.label).toBe(7)
    expect(after.url).not.toBe(before.url)
  } finally {
    await browser.close()
  }
})
