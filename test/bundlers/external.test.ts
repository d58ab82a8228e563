import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'
import { writeExternalModel } from '../support/external-model.ts'
import { BUNDLERS } from './bundle.ts'
import { load, output, scratch } from './output.ts'
import { onServedPage } from './served-page.ts'

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
    await onServedPage(browser, folder, 'sums', async (page) => {
      expect(await page.evaluate('sums()')).toEqual([3, 3, 4, 4])
    })
  })
})
