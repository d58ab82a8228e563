import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
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

describe('declarations', () => {
  /** Packages that a declaration file and all that it leads to import. */
  function packagesOf(file: string, seen = new Set<string>()): string[] {
    if (seen.has(file)) return []
    seen.add(file)
    const text = readFileSync(file, 'utf8')
    return [...text.matchAll(/^(?:import|export) .*?from '([^'\s]+)'|\bimport\('([^'\s]+)'/gm)].flatMap(
      ([, from, inline]) => {
        const specifier = from ?? inline
        if (!specifier!.startsWith('.')) return [specifier!]
        return packagesOf(resolve(dirname(file), specifier!.replace(/\.ts$/, '.d.ts')), seen)
      },
    )
  }

  // Projects that check the declarations of libraries too would need every bundler there is, and every driver of unstorage.
  test.each(entries.filter(([name]) => name !== '.' && name !== './client'))(
    '%s ask for no packages that its users need not have',
    (name, entry) => {
      const { types } = entry as { types: string }
      const own: Record<string, string> = { './rspack': '@rspack/core', './farm': '@farmfe/core' }
      const needed = ['onnxruntime-node', own[name] ?? name.slice(2)]
      const asked = packagesOf(join(root, types)).filter((name) => !name.startsWith('node:'))
      expect(asked.filter((name) => !needed.includes(name))).toEqual([])
    },
  )
})
