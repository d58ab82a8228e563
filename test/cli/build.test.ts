import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { readModel } from '../../src/graph/import.ts'
import type { BuildReport } from '../../src/pipeline/types.ts'
import { writeExternalModel } from '../support/external-model.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { cli } from './support.ts'

const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')

function project(...models: string[]): string {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'package.json'), '{}')
  for (const model of models) {
    mkdirSync(join(folder, model, '..'), { recursive: true })
    copyFileSync(digits, join(folder, model))
  }
  return folder
}
const build = async (folder: string, ...args: string[]) => {
  const { code, out, err } = await cli(folder, 'build', ...args, '--json')
  return { code, err, reports: JSON.parse(out) as BuildReport[] }
}
const list = (folder: string) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()

test('one model, by default into `optimized`, with the numbers of the report', async () => {
  const folder = project('a.onnx')
  const { code, reports } = await build(folder, 'a.onnx')
  expect(code).toBe(0)
  expect(reports).toHaveLength(1)
  expect(reports[0]).toMatchObject({
    input: join(folder, 'a.onnx'),
    output: join(folder, 'optimized/a.onnx'),
    bytesBefore: readFileSync(digits).length,
    bytesAfter: readFileSync(join(folder, 'optimized/a.onnx')).length,
    cache: 'miss',
    opsBefore: { Conv: 6 },
    passes: expect.any(Array),
    fused: expect.any(Object),
  })
  expect(list(join(folder, 'optimized'))).toEqual(['a.onnx'])
  expect((await build(folder, 'a.onnx')).reports[0]!.cache).toBe('hit')
  expect((await build(folder, 'a.onnx', '--no-cache')).reports[0]!.cache).toBe('off')
})

test('globs, and folders where names clash', async () => {
  const folder = project('models/x/m.onnx', 'models/y/m.onnx')
  expect((await build(folder, 'models/**/*.onnx', '-o', 'out')).code).toBe(0)
  expect(list(join(folder, 'out'))).toEqual(['x', 'x/m.onnx', 'y', 'y/m.onnx'])
})

test('a file as output', async () => {
  const folder = project('a.onnx', 'b.onnx')
  expect((await build(folder, 'a.onnx', '-o', 'out/small.onnx')).reports[0]!.output).toBe(
    join(folder, 'out/small.onnx'),
  )
  const { code, err } = await cli(folder, 'build', '*.onnx', '-o', 'out/small.onnx')
  expect(code).toBe(2)
  expect(err).toContain('2 results do not fit into the one file')
})

test('several targets get a folder each; targets come from --config', async () => {
  const folder = project('a.onnx')
  writeFileSync(
    join(folder, 'onnx.config.mjs'),
    `export default { targets: { edge: { device: 'cpu' }, page: { device: 'wasm' } } }`,
  )
  expect(
    (await build(folder, 'a.onnx', '--config', 'onnx.config.mjs', '--targets', 'edge,page', '-o', 'out')).code,
  ).toBe(0)
  expect(list(join(folder, 'out'))).toEqual(['edge', 'edge/a.onnx', 'page', 'page/a.onnx'])
  // A file of that name is found by itself.
  expect((await build(folder, 'a.onnx', '--target', 'edge', '-o', 'again')).code).toBe(0)
})

test('the layout of Hugging Face', async () => {
  const folder = project()
  await writeExternalModel(folder, 'model.onnx', 2, 'weights.bin')
  writeFileSync(join(folder, 'config.json'), '{"model_type":"bert"}')
  const emit = (...args: string[]) => build(folder, 'model.onnx', '--emit', 'huggingface', ...args)
  expect((await emit('--dtype', 'fp32', '-o', 'repository')).code).toBe(0)
  expect((await emit('--dtype', 'q4', '-o', 'repository')).code).toBe(0)
  expect(list(join(folder, 'repository'))).toEqual([
    'config.json',
    'onnx',
    'onnx/model.onnx',
    'onnx/model.onnx_data',
    'onnx/model_q4.onnx',
    'onnx/model_q4.onnx_data',
  ])
  const { code, err } = await cli(folder, 'build', 'model.onnx', '--emit', 'huggingface', '-o', 'one.onnx')
  expect(code).toBe(2)
  expect(err).toContain('writes a folder')
})

test('external data goes along, and under another name is named after the model', async () => {
  const folder = project()
  await writeExternalModel(folder, 'm.onnx', 2, 'weights.bin')
  expect((await build(folder, 'm.onnx', '-o', 'out')).code).toBe(0)
  expect(list(join(folder, 'out'))).toEqual(['m.onnx', 'weights.bin'])
  expect(readFileSync(join(folder, 'out/m.onnx'))).toEqual(readFileSync(join(folder, 'm.onnx')))
  expect((await build(folder, 'm.onnx', '-o', 'out/n.onnx')).code).toBe(0)
  expect(list(join(folder, 'out'))).toEqual(['m.onnx', 'n.onnx', 'n.onnx_data', 'weights.bin'])
  const [w] = [...readModel(join(folder, 'out/n.onnx')).graph.initializers]
  expect(w!.tensor!.toNumbers()).toEqual(new Array(512).fill(2))
})

test('data of the model that is replaced goes with it, if it is surely ours and nobody needs it', async () => {
  const folder = project('plain.onnx')
  const out = join(folder, 'out')
  await writeExternalModel(folder, 'm.onnx', 2, 'weights.bin')
  await build(folder, 'm.onnx', '-o', 'out/n.onnx')
  expect(list(out)).toEqual(['n.onnx', 'n.onnx_data'])
  expect((await build(folder, 'plain.onnx', '-o', 'out/n.onnx')).code).toBe(0)
  expect(list(out)).toEqual(['n.onnx'])

  await build(folder, 'm.onnx', '-o', 'out/n.onnx')
  copyFileSync(join(out, 'n.onnx'), join(out, 'second.onnx'))
  await build(folder, 'plain.onnx', '-o', 'out/n.onnx')
  expect(list(out)).toEqual(['n.onnx', 'n.onnx_data', 'second.onnx'])

  await build(folder, 'm.onnx', '-o', 'out/m.onnx')
  const { reports } = await build(folder, 'plain.onnx', '-o', 'out/m.onnx')
  expect(list(out)).toContain('weights.bin')
  expect(reports[0]!.notes).toContainEqual(
    expect.objectContaining({
      code: 'output/left',
      message: expect.stringContaining(`${join('out', 'weights.bin')} is left`),
    }),
  )
})

test('two models whose data files have one name keep their own data', async () => {
  const folder = project()
  for (const [name, value] of [
    ['x', 1],
    ['y', 2],
  ] as const) {
    mkdirSync(join(folder, name))
    await writeExternalModel(join(folder, name), `${name}.onnx`, value, 'weights.bin')
  }
  expect((await build(folder, 'x/x.onnx', 'y/y.onnx', '-o', 'out')).code).toBe(0)
  for (const [name, value] of [
    ['x', 1],
    ['y', 2],
  ] as const) {
    const [w] = [...readModel(join(folder, `out/${name}.onnx`)).graph.initializers]
    expect(w!.tensor!.toNumbers()[0]).toBe(value)
  }
})

test('the source is never overwritten', async () => {
  const folder = project('a.onnx')
  const { code, err } = await cli(folder, 'build', 'a.onnx', '-o', '.')
  expect(code).toBe(1)
  expect(err).toContain('overwrite its own source')
  expect(readFileSync(join(folder, 'a.onnx'))).toEqual(readFileSync(digits))
})

test('a broken model fails alone, and leaves nothing behind', async () => {
  const folder = project('good.onnx')
  writeFileSync(join(folder, 'bad.onnx'), readFileSync(digits).subarray(0, 1000))
  const { code, reports } = await build(folder, '*.onnx', '-o', 'out')
  expect(code).toBe(1)
  expect(reports).toMatchObject([
    { input: join(folder, 'good.onnx') },
    {
      input: join(folder, 'bad.onnx'),
      error: { code: expect.stringMatching(/^MODEL_/), file: join(folder, 'bad.onnx') },
    },
  ])
  expect((await cli(folder, 'build', 'bad.onnx')).err).toContain(`in ${join(folder, 'bad.onnx')}`)
  expect(list(join(folder, 'out'))).toEqual(['good.onnx'])
})

test('an output folder that cannot be one is a clear error', async () => {
  const folder = project('a.onnx')
  writeFileSync(join(folder, 'out'), 'a file')
  const { code, err } = await cli(folder, 'build', 'a.onnx', '-o', 'out')
  expect(code).toBe(1)
  expect(err).toContain('[OUTPUT_UNWRITABLE]')
})

test('without --json: a line per model', async () => {
  const folder = project('a.onnx')
  const { out } = await cli(folder, 'build', 'a.onnx')
  expect(out).toMatch(/^a\.onnx → optimized\/a\.onnx +\d+ kB -> /)
})
