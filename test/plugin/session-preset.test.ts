import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { rollup } from 'rollup'
import { expect, test } from 'vitest'
import onnx from '../../plugins/rollup.ts'
import type { PluginOptions } from '../../src/plugin/index.ts'
import { temporaryFolder } from '../support/temporary.ts'

/** A project with a model, and session options beside it and in a folder of their own. */
function project(): string {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'package.json'), '{}')
  copyFileSync(resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx'), join(folder, 'a.onnx'))
  writeFileSync(join(folder, 'main.js'), "import a from './a.onnx'\nexport default a\n")
  mkdirSync(join(folder, 'tuned'))
  writeFileSync(join(folder, 'a.onnx.session.json'), '{"node": {"intraOpNumThreads": 3}}')
  writeFileSync(join(folder, 'tuned/a.json'), '{"cpu": {"executionMode": "parallel"}}')
  return folder
}

async function build(folder: string, options: PluginOptions): Promise<{ code: string; watched: string[] }> {
  const bundle = await rollup({
    input: join(folder, 'main.js'),
    external: /^(unplugin-onnx|onnxruntime)/,
    plugins: [onnx({ root: folder, report: false, dts: false, target: 'node', ...options })],
    onwarn: () => {},
  })
  const { output } = await bundle.generate({ format: 'es' })
  await bundle.close()
  return { code: output[0].code, watched: bundle.watchFiles }
}

test('the wrapper of a target opens the model with its tuned options, from beside the model or from a named file', async () => {
  const folder = project()
  const beside = await build(folder, {})
  expect(beside.code).toContain('sessionOptions: { intraOpNumThreads: 3 }')
  const named = await build(folder, { targets: { node: { device: 'cpu', sessionPreset: 'tuned/a.json' } } })
  expect(named.code).toContain('sessionOptions: { executionMode: "parallel" }')
  const other = await build(folder, { target: 'gpu', targets: { gpu: { device: 'cuda' } } })
  expect(other.code).not.toContain('sessionOptions')
})

test('a named file that is not there fails the build', async () => {
  const folder = project()
  await expect(build(folder, { sessionPreset: 'none.json' })).rejects.toThrow(/SESSION_PRESET_MISSING/)
})

test('what a target says wins over what was measured', async () => {
  const { code } = await build(project(), { targets: { node: { device: 'cpu', threads: 2, memoryArena: false } } })
  expect(code).toContain('sessionOptions: { intraOpNumThreads: 2, enableCpuMemArena: false }')
})

test('models in float16 ask for an adapter with shader-f16 on WebGPU, others and other devices do not', async () => {
  const folder = project()
  symlinkSync(resolve(import.meta.dirname, '../../node_modules'), join(folder, 'node_modules'), 'dir')
  const code = async (options: PluginOptions, query = '') => {
    writeFileSync(join(folder, 'main.js'), `import a from './a.onnx${query}'\nexport default a\n`)
    return (await build(folder, { ...options, cache: false })).code
  }
  const requires = 'requires: { "shader-f16": 1 }'
  expect(await code({ target: 'webgpu', dtype: 'fp16' })).toContain(requires)
  expect(await code({ target: 'webgpu' })).not.toContain(requires)
  expect(await code({ target: 'cpu', dtype: 'fp16' })).not.toContain(requires)
  const both = await code({ target: 'web' }, '?targets=webgpu,wasm&dtype=fp16')
  expect(both.split(requires)).toHaveLength(2)
})
