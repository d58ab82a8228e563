import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { readSessionPreset, sessionPresetFile } from '../../src/pipeline/session-preset.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { cli } from './support.ts'

function project(): string {
  const folder = temporaryFolder()
  copyFileSync(resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx'), join(folder, 'a.onnx'))
  return folder
}

test('bench prints latency, throughput, noise and memory of each model', async () => {
  const folder = project()
  const { code, out } = await cli(folder, 'bench', 'a.onnx', '--runs', '6', '--json')
  expect(code).toBe(0)
  const [result] = JSON.parse(out)
  expect(result.label).toBe('a.onnx')
  const { low, median, high } = result.latency
  expect(low <= median && median <= high && low > 0).toBe(true)
  expect(result.throughput).toBeGreaterThan(0)
  expect(result.memory.running).toBeGreaterThanOrEqual(result.memory.loaded)
  expect((await cli(folder, 'bench', 'a.onnx', '--runs', '6')).out).toMatch(/ms a run \(95 %: .* items a second/s)
})

test('tune writes options beside the model, and leaves those of other targets', async () => {
  const folder = project()
  const file = sessionPresetFile(join(folder, 'a.onnx'))
  writeFileSync(file, JSON.stringify({ web: { enableMemPattern: false } }))
  const { code, out } = await cli(folder, 'tune', 'a.onnx', '--runs', '6', '--target', 'server')
  expect(code).toBe(0)
  expect(out).toContain("has the options for the target 'server'")
  const presets = JSON.parse(readFileSync(file, 'utf8'))
  expect(presets).toEqual({ web: { enableMemPattern: false }, server: expect.any(Object) })
  expect(await readSessionPreset(join(folder, 'a.onnx'), { target: 'server', device: 'cpu' })).toEqual(presets.server)
  expect(await readSessionPreset(join(folder, 'a.onnx'), { target: 'mobile', device: 'web' })).toEqual(presets.web)
  expect(await readSessionPreset(join(folder, 'a.onnx'), { target: 'x', device: 'y' })).toBeUndefined()
  expect(await readSessionPreset(join(folder, 'b.onnx'), { target: 'server', device: 'cpu' })).toBeUndefined()
})

test('a provider that is not there is left out, and numbers of threads are checked', async () => {
  const folder = project()
  const { code, out } = await cli(folder, 'tune', 'a.onnx', '--runs', '6', '--providers', 'nonsense', '--threads', '2')
  expect(code).toBe(0)
  expect(out).toContain('executionProviders=nonsense is left out')
  expect(out).toContain('intraOpNumThreads=2')
  expect((await cli(folder, 'tune', 'a.onnx', '--threads', '2,many')).err).toContain("'many' is no number of threads")
})

test('a damaged preset is told before anything is measured, and stays', async () => {
  const folder = project()
  const file = sessionPresetFile(join(folder, 'a.onnx'))
  writeFileSync(file, '{"web": {"enableMemPatern": false}}')
  const { code, err } = await cli(folder, 'tune', 'a.onnx')
  expect([code, err]).toEqual([1, expect.stringContaining('did you mean "enableMemPattern"')])
  expect(readFileSync(file, 'utf8')).toContain('enableMemPatern')
})

test.each([
  '{',
  '[]',
  '{"cpu": 3}',
  '{"cpu": {"intraOpNumThreads": "4"}}',
  '{"cpu": {"executionMode": "fast"}}',
  '{"cpu": {"toString": 1}}',
])('a damaged preset (%s) is an error that names the file', async (text) => {
  const model = join(project(), 'a.onnx')
  writeFileSync(sessionPresetFile(model), text)
  await expect(readSessionPreset(model, { target: 'node', device: 'cpu' })).rejects.toMatchObject({
    code: 'SESSION_PRESET_INVALID',
    place: { file: sessionPresetFile(model) },
  })
})
