import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { readModel } from '../../src/graph/import.ts'
import { readRanges } from '../../src/passes/quantize/static/json-files.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { cli } from './support.ts'

/** A folder with the digits model and a few images for it. */
function project(): string {
  const folder = temporaryFolder()
  copyFileSync(resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx'), join(folder, 'a.onnx'))
  const image = (n: number): number[] => Array.from({ length: 64 }, (_, i) => ((i * 37 + n * 11) % 17) / 16)
  writeFileSync(
    join(folder, 'data.mjs'),
    `export default ${JSON.stringify([0, 1, 2, 3].map((n) => ({ image: { dims: [1, 1, 8, 8], data: image(n) } })))}`,
  )
  return folder
}

test('calibrate writes ranges, and a build with them gives what a build with the data gives', async () => {
  const folder = project()
  const { code, out, err } = await cli(folder, 'calibrate', 'a.onnx', '--calibration', 'data.mjs')
  expect([code, err]).toEqual([0, ''])
  expect(out).toMatch(/^a\.onnx\.ranges\.json: ranges of \d+ tensors from 4 samples$/)
  const { ranges } = JSON.parse(readFileSync(join(folder, 'a.onnx.ranges.json'), 'utf8'))
  expect(ranges.image).toEqual([0, 1])
  const build = (name: string, ...args: string[]) =>
    cli(folder, 'build', 'a.onnx', '--quantize', 'static', ...args, '-o', `${name}/a.onnx`)
  expect((await build('data', '--calibration', 'data.mjs')).code).toBe(0)
  expect((await build('ranges', '--ranges', 'a.onnx.ranges.json')).err).toBe('')
  const [one, other] = ['data', 'ranges'].map((name) => readFileSync(join(folder, name, 'a.onnx')))
  expect(Buffer.compare(one!, other!)).toBe(0)
})

test('calibrate writes a table for TensorRT: largest magnitudes of the unchanged model', async () => {
  const folder = project()
  expect((await cli(folder, 'calibrate', 'a.onnx', '--calibration', 'data.mjs', '-o', 't.cache')).code).toBe(0)
  const lines = readFileSync(join(folder, 't.cache'), 'utf8').trimEnd().split('\n')
  expect(lines).toContain('image 1')
  for (const line of lines) expect(Number(line.split(' ').at(-1))).toBeGreaterThan(0)
})

test.each([
  ['t.cache', []],
  ['t.flatbuffers', []],
  ['t.json', ['--format', 'json']],
])('a table %s is read again as ranges', async (name, flags) => {
  const folder = project()
  const made = await cli(folder, 'calibrate', 'a.onnx', '--calibration', 'data.mjs', '-o', name, ...flags)
  expect([made.code, made.err]).toEqual([0, ''])
  const built = await cli(folder, 'build', 'a.onnx', '--quantize', 'static', '--ranges', name, '-o', 'out/a.onnx')
  expect([built.code, built.err]).toEqual([0, ''])
  const ranges = readRanges(join(folder, name), readModel(join(folder, 'a.onnx')))
  const [image] = [...ranges].find(([value]) => value.name === 'image')!.slice(1) as [{ min: number; max: number }]
  expect(image).toEqual(name === 't.json' ? { min: 0, max: 1 } : { min: -1, max: 1 })
})

test('the result may go to a new folder; where it cannot be written is an error', async () => {
  const folder = project()
  const calibrate = (out: string) => cli(folder, 'calibrate', 'a.onnx', '--calibration', 'data.mjs', '-o', out)
  expect((await calibrate('new/ranges.json')).code).toBe(0)
  expect(existsSync(join(folder, 'new/ranges.json'))).toBe(true)
  const { code, err } = await calibrate('a.onnx/ranges.json')
  expect([code, err]).toEqual([1, expect.stringContaining('OUTPUT_UNWRITABLE')])
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
})

test('data that is not finite is told', async () => {
  const folder = project()
  const samples = '[{ image: new Float32Array(64).fill(1).fill(NaN, 3, 5) }]'
  writeFileSync(join(folder, 'data.mjs'), `export default ${samples}`)
  const { code, err } = await cli(folder, 'calibrate', 'a.onnx', '--calibration', 'data.mjs')
  expect([code, err]).toEqual([0, expect.stringMatching(/warning: .*"image" has 2 NaN values/)])
})

test('nothing is written where data is missing', async () => {
  const folder = project()
  const { code, err } = await cli(folder, 'calibrate', 'a.onnx', '--calibration', 'nothing.npz')
  expect(code).toBe(1)
  expect(err).toContain('there is no such calibration data')
  expect(existsSync(join(folder, 'a.onnx.ranges.json'))).toBe(false)
})

test.each([
  [
    'throws midway',
    'export default function* () { yield { image: new Float32Array(64) }; throw new Error("disk gone") }',
    'disk gone',
  ],
  ['is empty', 'export default []', 'holds no samples'],
  ['has another shape', 'export default [{ image: new Float32Array(63) }]', '63 elements'],
  ['has another name', 'export default [{ picture: new Float32Array(64) }]', 'no data for "image"'],
])('data that %s: one error, and nothing is left behind', async (_, module, message) => {
  const folder = project()
  writeFileSync(join(folder, 'data.mjs'), module)
  const before = readdirSync(folder).sort()
  const build = [
    'build',
    'a.onnx',
    '--quantize',
    'static',
    '--calibration',
    'data.mjs',
    '-o',
    'out/a.onnx',
    '--no-cache',
  ]
  const { code, err } = await cli(folder, ...build)
  expect(code).toBe(1)
  expect(err).toContain(message)
  expect(err.match(/CALIBRATION_DATA/g)).toHaveLength(1)
  expect(
    readdirSync(folder)
      .filter((name) => name !== 'node_modules')
      .sort(),
  ).toEqual(before)
})

test('what a data module reads is part of the cache key', async () => {
  const folder = project()
  writeFileSync(
    join(folder, 'data.mjs'),
    `import { readFileSync } from 'node:fs'
     import { images } from './images.mjs'
     const scale = Number(readFileSync(new URL('./scale.txt', import.meta.url), 'utf8'))
     export default images.map((image) => ({ image: image.map((value) => value * scale) }))`,
  )
  const images = (value: number): string =>
    `export const images = [Float32Array.from({ length: 64 }, (_, i) => i / 64 + ${value})]`
  writeFileSync(join(folder, 'images.mjs'), images(0))
  writeFileSync(join(folder, 'scale.txt'), '1')
  const build = async (): Promise<string> => {
    const flags = ['--quantize', 'static', '--calibration', 'data.mjs', '-o', 'out/a.onnx', '--json']
    const { out, err } = await cli(folder, 'build', 'a.onnx', ...flags)
    expect(err).toBe('')
    return [JSON.parse(out)].flat()[0].cache
  }
  expect(await build()).toBe('miss')
  expect(await build()).toBe('hit')
  writeFileSync(join(folder, 'scale.txt'), '2')
  expect(await build()).toBe('miss')
  writeFileSync(join(folder, 'images.mjs'), images(1))
  expect(await build()).toBe('miss')
  expect(await build()).toBe('hit')
})
