import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'
import { writeLoraModel } from '../support/lora-model.ts'
import { BUNDLERS } from './bundle.ts'
import { onDevPage } from './dev-page.ts'
import { load, output, scratch } from './output.ts'
import { onServedPage } from './served-page.ts'

const root = join(scratch, 'adapters-app')
/** The same for adapters that are inputs and for those that are external data. */
const each = ['default,other', 8, 12, 24, 8, 'ADAPTER_UNKNOWN', 'other', 24, 'ADAPTER_UNKNOWN']
const expected = [each, each]

beforeAll(() => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  cpSync(join(import.meta.dirname, 'adapters-app'), root, { recursive: true })
  writeLoraModel(root)
})

describe.each(BUNDLERS)('adapters with %s', (name) => {
  test('are assets of their own, for Node', async () => {
    const folder = await output(name, { root, entry: 'main.js' })
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    const adapters = files.filter((file) => file.endsWith('.onnx_adapter'))
    // Both models have the same `other`: it is there once.
    expect(adapters).toHaveLength(3)
    expect(new Set(adapters.map((file) => readFileSync(join(folder, file), 'hex'))).size).toBe(3)
    const { answers } = await load<{ answers(): Promise<unknown[]> }>(folder)
    expect(await answers()).toEqual(expected)
  })
})

test.each(['vite', 'webpack', 'esbuild'] as const)(
  'external ones lie beside a model as path, and serve several sizes: %s',
  async (name) => {
    const folder = await output(name, { root, entry: 'shapes.js' })
    const { answers } = await load<{ answers(): Promise<unknown[]> }>(folder)
    expect(await answers()).toEqual([12, 'other', [24, 2, 6], [24, 4, 6], [8, 3, 6]])
  },
)

describe.skipIf(!chromiumPath).each(BUNDLERS)('adapters with %s, in a browser', (name) => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test('are fetched', async () => {
    const folder = await output(name, { root, entry: 'main.js', platform: 'web' })
    await onServedPage(browser, folder, 'answers', async (page) => {
      expect(await page.evaluate('answers()')).toEqual(expected)
    })
  })
})

describe.skipIf(!chromiumPath)('adapters with the dev server of Vite', () => {
  test.each(['wasm', 'webgpu'])('on %s', async (target) => {
    await onDevPage(root, target, async (page) => {
      expect(await page.evaluate('answers()')).toEqual(expected)
      expect(await page.evaluate('device')).toBe(target)
    })
  })
})
