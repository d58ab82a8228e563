import { execFile, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../support/temporary.ts'

const root = resolve(import.meta.dirname, '../..')
const bin = resolve(root, 'dist/cli.cjs')
const digits = resolve(root, 'fixtures/digits-cnn.onnx')

describe.skipIf(!existsSync(bin))('the built program', () => {
  test('is what package.json says, and can be run', async () => {
    const { bin: bins, version } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8'))
    expect(resolve(root, bins['unplugin-onnx'])).toBe(bin)
    expect(readFileSync(bin, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
    const { stdout } = await promisify(execFile)(process.execPath, [bin, '--version'])
    expect(stdout).toBe(`${version}\n`)
  })

  test('tells failure by its exit code', () => {
    expect(spawnSync(process.execPath, [bin, 'inspect', 'nowhere.onnx']).status).toBe(1)
    expect(spawnSync(process.execPath, [bin, 'inspekt']).status).toBe(2)
  })

  test('tells what is wrong with a build in the words of its error, which another of its files has thrown', () => {
    const args = ['build', digits, '--precision', 'mixed', '--mixed-inputs', bin, '-o', 'nowhere', '--no-cache']
    const { stderr, status } = spawnSync(process.execPath, [bin, ...args])
    expect(stderr.toString()).toMatch(/^\[NPY_INVALID\]/)
    expect(stderr.toString()).not.toContain('INTERNAL')
    expect(status).toBe(1)
  })

  test.each([
    ['export default () => process.exit(0)', /^\[CALIBRATION_\w+\] .*calls process.exit\(0\)/],
    ['export default () => new Promise(() => {})', /^the program ended before its work was done/],
  ])('a calibration module that ends everything is an error: %s', (code, message) => {
    const folder = temporaryFolder()
    const calibration = join(folder, 'c.mjs')
    writeFileSync(calibration, code)
    const args = ['build', digits, '--quantize', 'static', '--calibration', calibration, '-o', folder, '--no-cache']
    const { stderr, status } = spawnSync(process.execPath, [bin, ...args])
    expect(stderr.toString()).toMatch(message)
    expect(status).toBe(1)
  })

  test.skipIf(process.platform === 'win32')('ends quietly when its reader has seen enough', () => {
    const { stderr, stdout } = spawnSync('sh', ['-c', `"${process.execPath}" "${bin}" inspect "${digits}" | head -1`])
    expect(stderr.toString()).toBe('')
    expect(stdout.toString()).toContain('digits-cnn.onnx')
  })
})
