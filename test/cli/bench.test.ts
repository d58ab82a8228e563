import { copyFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { chromiumPath } from '../support/chromium.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { cli } from './support.ts'

function project(): string {
  const folder = temporaryFolder()
  for (const name of ['a.onnx', 'b.onnx'])
    copyFileSync(resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx'), join(folder, name))
  return folder
}

test('several models side by side, with the sizes asked for', async () => {
  const args = ['bench', 'a.onnx', 'b.onnx', '--threads', '1', '--batch', '3', '--runs', '6', '--json']
  const { code, out, err } = await cli(project(), ...args)
  expect(code, err).toBe(0)
  const [first, second] = JSON.parse(out)
  expect(first).toMatchObject({ where: 'node', label: 'a.onnx', batch: 3, inputs: { image: [3, 1, 8, 8] } })
  expect(first.runs.p50).toBeLessThanOrEqual(first.runs.p99)
  expect(first.throughput).toBeCloseTo(3000 / first.runs.mean, 6)
  // A process that holds ONNX Runtime has more than this, and the bytes are no kilobytes.
  expect(first.memory.peak).toBeGreaterThan(30e6)
  expect(first).not.toHaveProperty('speedup')
  expect(second.speedup.low).toBeLessThanOrEqual(second.speedup.high)
})

test('a model that is none fails alone; wrong sizes are told', async () => {
  const folder = project()
  writeFileSync(join(folder, 'broken.onnx'), 'no model')
  const mixed = await cli(folder, 'bench', 'broken.onnx', 'a.onnx', '--runs', '2')
  expect(mixed.code).toBe(1)
  expect(mixed.err).toContain('broken.onnx')
  expect(mixed.out).toContain('p99')
  const wrong = await cli(folder, 'bench', 'a.onnx', '--dim', 'height:3')
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('no input has a dimension "height"')])
  const shape = await cli(folder, 'bench', 'a.onnx', '--shape', 'image:1x3x8x8')
  expect([shape.code, shape.err]).toEqual([1, expect.stringContaining("can't have the shape [1,3,8,8]")])
})

describe.skipIf(!chromiumPath)('in Chromium', () => {
  test('wasm and webgpu run the same inputs', async () => {
    const args = ['bench', 'a.onnx', '--browser', 'wasm,webgpu', '--runs', '2', '--warm-up', '1', '--json']
    const { code, out, err } = await cli(project(), ...args)
    expect(code, `${out}${err}`).toBe(0)
    const rows = JSON.parse(out)
    expect(rows.map(({ where }: { where: string }) => where)).toEqual(['node', 'wasm', 'webgpu'])
    for (const { inputs, runs } of rows) {
      expect(inputs).toEqual(rows[0].inputs)
      expect(runs.p50).toBeGreaterThan(0)
    }
  })
})
