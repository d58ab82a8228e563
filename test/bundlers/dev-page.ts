import { join } from 'node:path'
import type { Page } from 'playwright-core'
import onnx from 'unplugin-onnx/vite'
import { createServer } from 'vite'
import { launchChromium } from '../support/chromium.ts'

/** Opens the page of an app that Vite's dev server serves, built for a target of browsers, once it has `answers`. */
export async function onDevPage(root: string, target: string, use: (page: Page) => Promise<void>): Promise<void> {
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'silent',
    cacheDir: join(root, `.vite-${target}`),
    server: { port: 0 },
    plugins: [onnx({ report: false, dts: false, target })],
  })
  const browser = await launchChromium({ webgpu: target === 'webgpu' })
  try {
    await server.listen()
    const page = await browser.newPage()
    await page.goto(server.resolvedUrls!.local[0]!)
    await page.waitForFunction('globalThis.answers')
    await use(page)
  } finally {
    await browser.close()
    await server.close()
  }
}
