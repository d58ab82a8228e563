import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const bin = resolve(root, 'dist/cli.cjs')
const digits = resolve(root, 'fixtures/digits-cnn.onnx')

describe.skipIf(!existsSync(bin))('the built programs', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'programs-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const codeFolder = () => join(folder, 'code/unplugin-onnx')
  const codes = () => readdirSync(codeFolder()).sort()
  const kindsIn = (file: string) => /\[[^[]*\]/.exec(readFileSync(file).subarray(-500).toString('latin1'))?.[0]
  const build = (args: string[], env: Record<string, string> = {}) => {
    const { status, stderr } = spawnSync(
      process.execPath,
      [bin, 'build', digits, '--no-cache', '-o', join(folder, 'out.onnx'), ...args],
      {
        encoding: 'utf8',
        env: { ...process.env, NODE_V8_COVERAGE: '', NODE_COMPILE_CACHE: join(folder, 'code'), ...env },
      },
    )
    expect(stderr).toBe('')
    expect(status).toBe(0)
    return readFileSync(join(folder, 'out.onnx'))
  }

  test('keep their code once, and more of it when they have done something else', () => {
    const first = build([])
    const [builds, main] = codes()
    expect(codes()).toEqual([expect.stringMatching(/^builds\.cjs-/), expect.stringMatching(/^main\.cjs-/)])
    const file = join(codeFolder(), builds!)
    const before = statSync(file)
    expect(build([])).toEqual(first)
    expect(statSync(file).mtimeMs).toBe(before.mtimeMs)
    expect(kindsIn(file)).not.toContain('float16')
    build(['--precision', 'float16'])
    expect(codes()).toEqual([builds, main])
    expect(kindsIn(file)).toContain('float16')
    expect(statSync(file).size).toBeGreaterThan(before.size)
  })

  test('import modules, with and without code that was kept', () => {
    const config = join(folder, 'config.mjs')
    writeFileSync(config, 'export default { precision: "float16" }')
    const first = build(['--config', config])
    expect(build(['--config', config])).toEqual(first)
    expect(build(['--precision', 'float16'])).toEqual(first)
  })

  test('do the same with damaged code', () => {
    const first = build([])
    for (const name of codes()) {
      const file = join(codeFolder(), name)
      const bytes = readFileSync(file)
      bytes.fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 4096)
      writeFileSync(file, bytes)
    }
    expect(build([])).toEqual(first)
  })

  test('keep nothing when they are told so', () => {
    build([], { NODE_DISABLE_COMPILE_CACHE: '1' })
    expect(existsSync(codeFolder())).toBe(false)
  })
})
