import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'
import { bytesOf } from '../support/models.ts'
import { embeddings, writeTokenizer } from '../support/tokenizer.ts'
import { BUNDLERS } from './bundle.ts'
import { load, output, scratch } from './output.ts'
import { onServedPage } from './served-page.ts'

const root = join(scratch, 'text-app')
const expected = [[20, 40, 50, 90, 30], 'INPUT_TOKEN']

beforeAll(() => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  cpSync(join(import.meta.dirname, 'text-app'), root, { recursive: true })
  writeTokenizer(root)
  writeFileSync(join(root, 'text.onnx'), bytesOf(embeddings(11)))
})

describe.each(BUNDLERS)('text with %s', (name) => {
  test('the tokenizer is an asset of its own, for Node', async () => {
    const folder = await output(name, { root, entry: 'main.js' })
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    expect(files.filter((file) => file.endsWith('.tokenizer'))).toHaveLength(1)
    const { answers } = await load<{ answers(): Promise<unknown[]> }>(folder)
    expect(await answers()).toEqual(expected)
  })
})

describe.skipIf(!chromiumPath)('text in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test.each(BUNDLERS)('with %s', async (name) => {
    const folder = await output(name, { root, entry: 'main.js', platform: 'web' })
    await onServedPage(browser, folder, 'answers', async (page) => {
      expect(await page.evaluate('answers()')).toEqual(expected)
    })
  })
})
