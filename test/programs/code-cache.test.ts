import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { codeFile, readCode, writeCode } from '../../src/programs/code-cache.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'code-cache-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('the file', () => {
  const program = resolve('dist/builds.cjs')

  test('lies in the node_modules that the program is in', () => {
    const installed = resolve('/project/node_modules/unplugin-onnx/dist/builds.cjs')
    expect(codeFile(installed, 'abc', {})).toContain(
      resolve('/project/node_modules/.cache/unplugin-onnx/code/builds.cjs-'),
    )
    expect(codeFile(program, 'abc', {})).toContain(resolve('node_modules/.cache/unplugin-onnx/code/builds.cjs-'))
  })

  test('has another name for every text', () => {
    expect(codeFile(program, 'abc', {})).not.toBe(codeFile(program, 'abd', {}))
  })

  test('lies where Node is told to keep code', () => {
    expect(codeFile(program, 'abc', { NODE_COMPILE_CACHE: folder })).toContain(join(folder, 'unplugin-onnx'))
  })

  test.skipIf(!process.getuid)('is that of one user in a folder that may be shared', () => {
    const user = vi.spyOn(process as Required<typeof process>, 'getuid')
    const fileOf = (id: number) => {
      user.mockReturnValue(id)
      return codeFile(program, 'abc', { NODE_COMPILE_CACHE: folder })
    }
    expect(fileOf(1)).not.toBe(fileOf(2))
    user.mockRestore()
  })

  test.each(['NODE_DISABLE_COMPILE_CACHE', 'NODE_V8_COVERAGE'])('is none with %s', (name) => {
    expect(codeFile(program, 'abc', { [name]: '1', NODE_COMPILE_CACHE: folder })).toBeUndefined()
  })

  test('is none for programs that are part of no package', () => {
    expect(codeFile(join(folder, 'builds.cjs'), 'abc', {})).toBeUndefined()
  })
})

describe('kept code', () => {
  const kept = { code: Buffer.from('bytecode'), kinds: ['clean', 'fuse'] }

  test('is read as it was written', () => {
    const file = join(folder, 'deep/er/builds.cjs-x64-1-2')
    writeCode(file, kept.kinds, () => kept.code)
    expect(readCode(file)).toEqual(kept)
    expect(readdirSync(join(folder, 'deep/er'))).toHaveLength(1)
  })

  test('is none where there is no file, an empty one, or half of one', () => {
    const file = join(folder, 'builds.cjs-x64-1-2')
    expect(readCode(file)).toBeUndefined()
    writeFileSync(file, '')
    expect(readCode(file)).toBeUndefined()
    writeCode(file, kept.kinds, () => kept.code)
    truncateSync(file, readFileSync(file).length - 3)
    expect(readCode(file)).toBeUndefined()
  })

  test('is not written where that is impossible', () => {
    writeFileSync(join(folder, 'file'), '')
    const make = vi.fn(() => kept.code)
    writeCode(join(folder, 'file/builds.cjs-x64-1-2'), kept.kinds, make)
    expect(readdirSync(folder)).toEqual(['file'])
    expect(make).not.toHaveBeenCalled()
  })

  test('takes the place of what older versions of the same program left', () => {
    const name = (program: string, hash: string) => join(folder, `${program}-x64-1-${hash}`)
    for (const [program, hash] of [
      ['builds.cjs', 'old'],
      ['builds.cjs', 'recent'],
      ['main.cjs', 'old'],
    ] as const) {
      writeFileSync(name(program, hash), '')
      if (hash === 'old') utimesSync(name(program, hash), 1, 1)
    }
    writeCode(name('builds.cjs', 'new'), kept.kinds, () => kept.code)
    expect(existsSync(name('builds.cjs', 'old'))).toBe(false)
    expect(existsSync(name('builds.cjs', 'recent'))).toBe(true)
    expect(existsSync(name('main.cjs', 'old'))).toBe(true)
  })
})
