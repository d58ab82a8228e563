import { copyFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/temporary.ts'
import { cli } from './support.ts'

const fixture = (name: string): string => resolve(import.meta.dirname, '../../fixtures', name)

/** A folder with a trained model, `a.onnx`, and its float16 form in `out/`. */
async function project(): Promise<string> {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'package.json'), '{}')
  copyFileSync(fixture('digits-cnn.onnx'), join(folder, 'a.onnx'))
  const { code, err } = await cli(folder, 'build', 'a.onnx', '--precision', 'float16', '--verify', '-o', 'out')
  expect(err, err).not.toContain('VERIFY')
  expect(code).toBe(0)
  return folder
}

test('a float16 model passes by cosine and fails by the strict tolerance per element, by exit code too', async () => {
  const folder = await project()
  const byCosine = await cli(folder, 'compare', 'a.onnx', 'out/a.onnx', '--cosine', '0.999', '--runs', '0')
  expect(byCosine.code).toBe(0)
  expect(byCosine.out).toMatch(/✓ \w+: largest error .* cosine (0\.99|1\.0)/)
  const strict = await cli(folder, 'compare', 'a.onnx', 'out/a.onnx', '--rtol', '1e-7', '--atol', '1e-9', '--runs', '0')
  expect(strict.code).toBe(1)
  expect(strict.out).toContain('elements beyond the tolerance')
})

test('--json has outputs, values inside and latency', async () => {
  const folder = await project()
  const { code, out } = await cli(
    folder,
    ...['compare', 'a.onnx', 'out/a.onnx', '--cosine', '0.99', '--intermediates', '--runs', '3', '--json'],
    ...['--samples', '2'],
  )
  expect(code).toBe(0)
  const result = JSON.parse(out)
  expect(result).toMatchObject({ same: true, samples: 2 })
  expect(result.intermediates.length).toBeGreaterThan(0)
  expect(result.latency.speedup.low).toBeLessThanOrEqual(result.latency.speedup.high)
})

test('made-up inputs by batch and seed; they can be saved and used again', async () => {
  const folder = await project()
  const compare = async (...args: string[]) => {
    const { out } = await cli(
      folder,
      'compare',
      'a.onnx',
      'out/a.onnx',
      '--cosine',
      '0.9',
      '--runs',
      '0',
      '--json',
      ...args,
    )
    return JSON.parse(out).outputs[0]
  }
  const first = await compare('--batch', '3', '--samples', '2', '--save-inputs', 'saved')
  expect(first.elements).toBe(2 * 3 * 10)
  expect(await compare('--inputs', 'saved')).toEqual(first)
  expect((await compare('--batch', '3', '--samples', '2', '--seed', '1')).maxAbs).not.toBe(first.maxAbs)
})

test('a model that is missing and inputs that are missing are named', async () => {
  const folder = temporaryFolder()
  copyFileSync(fixture('digits-cnn.onnx'), join(folder, 'a.onnx'))
  expect((await cli(folder, 'compare', 'a.onnx', 'b.onnx')).err).toContain("there is no model 'b.onnx'")
  const { code, err } = await cli(folder, 'compare', 'a.onnx', 'a.onnx', '--inputs', 'none.npz')
  expect([code, err]).toEqual([1, expect.stringContaining('none.npz')])
})

test('a build that fails its bar says so and writes nothing', async () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'package.json'), '{}')
  copyFileSync(fixture('digits-cnn.onnx'), join(folder, 'a.onnx'))
  const args = ['build', 'a.onnx', '--precision', 'float16', '--verify-rtol', '1e-9', '-o', 'out', '--json']
  const { code, out } = await cli(folder, ...args)
  expect(code).toBe(1)
  expect(out).toContain('VERIFY_FAILED')
  expect(() => copyFileSync(join(folder, 'out/a.onnx'), join(folder, 'b.onnx'))).toThrow(/ENOENT/)
})

test('a provider that is not there, and a role that there is not, are errors', async () => {
  const folder = await project()
  const missing = await cli(folder, 'compare', 'a.onnx', 'out/a.onnx', '--provider', 'nowhere')
  expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('ORT_REFUSED')])
  const role = await cli(folder, 'compare', 'a.onnx', 'out/a.onnx', '--role', 'images:picture')
  expect([role.code, role.err]).toEqual([expect.any(Number), expect.stringContaining("'picture' is no role")])
})
