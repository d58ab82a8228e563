import { execFile, spawn } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { chromiumPath, launchChromium } from '../support/chromium.ts'
import { serveFolder } from '../support/serve-folder.ts'

const root = resolve(import.meta.dirname, '../..')
const examples = join(root, 'examples')
const run = promisify(execFile)

const node = async (...args: string[]): Promise<string> => {
  const { stdout } = await run(process.execPath, args, { cwd: root, env: { ...process.env, NODE_ENV: '' } })
  return stdout
}
const bin = (name: string) => join(root, 'node_modules', name)

const vite = (...args: string[]) => node(bin('vite/bin/vite.js'), ...args)
const PROGRAMS: Record<string, () => Promise<string>> = {
  webpack: () => node('examples/webpack/build.mjs'),
  rspack: () => node('examples/rspack/build.mjs'),
  esbuild: () => node('examples/esbuild/build.mjs'),
  farm: () => node('examples/farm/build.mjs'),
  rollup: () => node(bin('rollup/dist/bin/rollup'), '-c', 'examples/rollup/rollup.config.mjs'),
  rolldown: () => node(bin('rolldown/bin/cli.mjs'), '-c', 'examples/rolldown/rolldown.config.mjs'),
}

test('every example is tested here', () => {
  const folders = readdirSync(examples, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(folders.map(({ name }) => name).sort()).toEqual(
    [...Object.keys(PROGRAMS), 'image-label', 'vite-browser', 'vite-ssr'].sort(),
  )
})

describe.each(Object.keys(PROGRAMS))('%s', (name) => {
  test('builds a program that reads ten digits', async () => {
    const dist = join(examples, name, 'dist')
    rmSync(dist, { recursive: true, force: true })
    await PROGRAMS[name]!()
    const files = readdirSync(dist)
    const main = files.find((file) => /^main\.[cm]?js$/.test(file))!
    expect(await node(join(dist, main))).toBe('logits of ten digits: 0 1 2 3 4 5 6 7 8 9\n')
  })
})

test('image-label: the bytes of a PNG become a label', async () => {
  const dist = join(examples, 'image-label/dist')
  rmSync(dist, { recursive: true, force: true })
  await node('examples/image-label/build.mjs')
  expect(await node(join(dist, 'main.js'))).toMatch(/^this is a four, by \d+ %\n$/)
})

test('vite-browser: the page reads a digit', async () => {
  rmSync(join(examples, 'vite-browser/dist'), { recursive: true, force: true })
  await vite('build', 'examples/vite-browser')
  if (!chromiumPath) return
  const server = await serveFolder(join(examples, 'vite-browser/dist'))
  const browser = await launchChromium()
  try {
    const page = await browser.newPage()
    await page.goto(server.origin)
    await page.waitForFunction("document.querySelector('#result').value.startsWith('ready')")
    for (const digit of ['3', '8']) {
      await page.click(`#samples button:text-is("${digit}")`)
      await page.waitForFunction(`document.querySelector('#result').value === 'this is a ${digit}'`)
    }
  } finally {
    await browser.close()
    await server.close()
  }
})

test('vite-ssr: server and page read the digits, each with its own build of the model', async () => {
  rmSync(join(examples, 'vite-ssr/dist'), { recursive: true, force: true })
  await vite('build', '--app', 'examples/vite-ssr')
  const server = spawn(process.execPath, ['examples/vite-ssr/dist/server/server.js'], {
    cwd: root,
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const url = await new Promise<string>((done) =>
      server.stdout.once('data', (data: Buffer) => done(String(data).trim())),
    )
    expect(await (await fetch(url)).text()).toContain('<p id="server">node: 0 1 2 3 4 5 6 7 8 9</p>')
    if (!chromiumPath) return
    const browser = await launchChromium()
    const page = await browser.newPage()
    await page.goto(url)
    await page.waitForFunction("document.querySelector('#browser').textContent")
    expect(await page.textContent('#browser')).toBe('web: 0 1 2 3 4 5 6 7 8 9')
    await browser.close()
  } finally {
    server.kill()
  }
})

test('the types in the repository are what the builds write, and the examples satisfy them', async () => {
  const types = readFileSync(join(examples, 'onnx-models.d.ts'), 'utf8')
  await vite('build', 'examples/vite-browser')
  expect(readFileSync(join(examples, 'onnx-models.d.ts'), 'utf8')).toBe(types)
  expect(await node(bin('typescript/bin/tsc'), '--noEmit', '-p', 'examples')).toBe('')
})
