import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'
import { writeExternalModel } from '../support/external-model.ts'
import { serveFolder } from '../support/serve-folder.ts'
import { BUNDLERS } from './bundle.ts'
import { load, output, scratch } from './output.ts'

const root = join(scratch, 'external-app')

beforeAll(async () => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(join(root, 'other'), { recursive: true })
  cpSync(join(import.meta.dirname, 'external-app'), root, { recursive: true })
  await writeExternalModel(root, 'add.onnx', 2)
  await writeExternalModel(join(root, 'other'), 'add.onnx', 3)
})

describe.each(BUNDLERS)('external data with %s', (name) => {
  test('comes along for Node', async () => {
    const folder = await output(name, { root, entry: 'main.js' })
    const { sums } = await load<{ sums(): Promise<number[]> }>(folder)
    expect(await sums()).toEqual([3, 3, 4, 4])
  })
})

describe.skipIf(!chromiumPath).each(BUNDLERS)('external data with %s, in a browser', (name) => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('is fetched', async () => {
    const folder = await output(name, { root, entry: 'main.js', platform: 'web' })
    const server = await serveFolder(folder)
    const page = await browser.newPage()
    try {
      await page.goto(`${server.origin}/`)
      await page.waitForFunction('globalThis.sums')
      expect(await page.evaluate('sums()')).toEqual([3, 3, 4, 4])
    } finally {
      await page.close()
      await server.close()
    }
  })
})
