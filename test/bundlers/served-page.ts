import type { Browser, Page } from 'playwright-core'
import { serveFolder } from '../support/serve-folder.ts'

/** Opens the page in a folder that a bundler wrote, once it has a global of this name. */
export async function onServedPage(
  browser: Browser,
  folder: string,
  global: string,
  use: (page: Page) => Promise<void>,
): Promise<void> {
  const server = await serveFolder(folder)
  const page = await browser.newPage()
  try {
    await page.goto(`${server.origin}/`)
    await page.waitForFunction(`globalThis.${global}`)
    await use(page)
  } finally {
    await page.close()
    await server.close()
  }
}
