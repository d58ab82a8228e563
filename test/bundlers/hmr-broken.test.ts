import { copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import onnx from 'unplugin-onnx/vite'
import { createLogger, createServer } from 'vite'
import { expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'

const project = resolve(import.meta.dirname, '../..')
const root = join(project, '.cache/test-bundlers/hmr-broken')

test.skipIf(!chromiumPath)(
  'calibration data that are missing when the page is opened: it comes when they do',
  async () => {
    rmSync(root, { recursive: true, force: true })
    mkdirSync(root, { recursive: true })
    cpSync(join(import.meta.dirname, 'hmr-app'), root, { recursive: true })
    copyFileSync(join(project, 'fixtures/digits-cnn.onnx'), join(root, 'digits.onnx'))
    const server = await createServer({
      root,
      configFile: false,
      customLogger: createLogger('silent'),
      cacheDir: join(root, '.vite'),
      server: { port: 0 },
      plugins: [onnx({ report: false, dts: false })],
    })
    await server.listen()
    const browser = await launchChromium()
    try {
      const page = await browser.newPage()
      await page.goto(server.resolvedUrls!.local[0]!)
      const overlay = page.locator('vite-error-overlay')
      await overlay.waitFor({ state: 'attached' })
      expect(await overlay.locator('.message').textContent()).toContain('calib.jsonl')
      const image = [Array.from({ length: 8 }, () => Array(8).fill(3))]
      writeFileSync(join(root, 'calib.jsonl'), `${JSON.stringify({ image: [image] })}\n`.repeat(4))
      await page.waitForFunction('globalThis.state', undefined, { timeout: 15_000 })
      expect(await page.evaluate('state()')).toMatchObject({ finite: true })
    } finally {
      await browser.close()
      await server.close()
    }
  },
)
