import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'
import { serveFolder } from '../support/serve-folder.ts'
import { files, models, output } from './output.ts'

describe.skipIf(!chromiumPath).each(['vite', 'rollup', 'webpack', 'esbuild'] as const)(
  '%s, one import for two targets',
  (name) => {
    const browsers: Browser[] = []
    let folder: string
    beforeAll(async () => {
      browsers.push(await launchChromium(), await launchChromium({ webgpu: true }))
      folder = await output(name, { entry: 'choice.js', platform: 'web' })
    })
    afterAll(() => Promise.all(browsers.map((browser) => browser.close())))

    test('emits equal bytes once, and the runtime of both', () => {
      expect(models(folder)).toHaveLength(1)
      expect(files(folder).filter((file) => file.endsWith('.wasm'))).toHaveLength(2)
    })

    test.each([
      ['wasm', 0],
      ['webgpu', 1],
    ] as const)('runs on %s', async (target, browser) => {
      const server = await serveFolder(folder)
      const page = await browsers[browser]!.newPage()
      const wasm: string[] = []
      page.on('request', (request) => void (request.url().endsWith('.wasm') && wasm.push(request.url())))
      try {
        await page.goto(`${server.origin}/`)
        await page.waitForFunction('globalThis.predict')
        expect(await page.evaluate('predict()')).toEqual({ label: 7, target })
        expect(wasm).toHaveLength(1)
      } finally {
        await page.close()
        await server.close()
      }
    })
  },
)
