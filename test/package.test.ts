import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { parse } from 'acorn'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { types: string; default?: string }>
  bin: Record<string, string>
}
const entries = Object.entries(manifest.exports).filter(([name]) => name !== './package.json')
const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })

test.each(entries)('%s has its files', (_name, entry) => {
  const { types, default: code } = entry as { types: string; default?: string }
  expect(existsSync(join(root, types))).toBe(true)
  if (code) expect(existsSync(join(root, code))).toBe(true)
})

describe.each(['vite', 'rollup', 'rolldown', 'webpack', 'rspack', 'esbuild', 'farm'])('unplugin-onnx/%s', (name) => {
  test('is the plugin, also for require()', () => {
    const required = createRequire(import.meta.url)
    expect(run('-p', `typeof require('unplugin-onnx/${name}')`).trim()).toBe('function')
    const code = `import onnx from 'unplugin-onnx/${name}'; console.log(typeof onnx)`
    expect(run('--input-type=module', '-e', code).trim()).toBe('function')
    expect(required.resolve(`unplugin-onnx/${name}`)).toBe(join(root, 'dist', `${name}.js`))
  })
  test('loads nothing heavy before there is a model', () => {
    const code = `await import('unplugin-onnx/${name}'); console.log(process.report.getReport().sharedObjects.join('\\n'))`
    expect(run('--input-type=module', '-e', code)).not.toContain('onnxruntime')
  })
})

test('what ships to users imports nothing but itself', () => {
  for (const name of ['runtime-web', 'runtime-node', 'runtime-generate']) {
    const code = readFileSync(join(root, 'dist', `${name}.js`), 'utf8')
    const { body } = parse(code, { sourceType: 'module', ecmaVersion: 'latest' })
    const specifiers = body.flatMap((statement) =>
      'source' in statement && statement.source ? [String(statement.source.value)] : [],
    )
    expect(specifiers.filter((specifier) => !/^(?:\.\/runtime-|node:)/.test(specifier))).toEqual([])
  }
})
