import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { Tensor } from '../../src/graph/tensor.ts'
import { encodeAdapter, readAdapter } from '../../src/onnx/adapters/index.ts'
import { writeLoraModel } from '../support/lora-model.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { cli } from './support.ts'

const count = (rows: number, columns: number) =>
  Tensor.float32(
    [rows, columns],
    Float32Array.from({ length: rows * columns }, (_, i) => i),
  )

/** A folder as PEFT writes it. */
function peft(config: object, weights: Record<string, Tensor>): string {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'lora'))
  writeFileSync(join(folder, 'lora/adapter_config.json'), JSON.stringify(config))
  const tensors = Object.entries(weights).map(([name, tensor]) => ({
    name,
    dtype: tensor.dtype!,
    dims: tensor.dims,
    data: tensor.bytes(),
  }))
  writeFileSync(join(folder, 'lora/adapter_model.safetensors'), encodeAdapter('safetensors', tensors).bytes)
  return folder
}
const layer = (name: string, rank = 2) => ({
  [`base_model.model.${name}.lora_A.weight`]: count(rank, 8),
  [`base_model.model.${name}.lora_B.weight`]: count(6, rank),
})
const values = (file: string) =>
  Object.fromEntries(
    readAdapter(file).map(({ name, dtype, dims, data }) => [name, Tensor.of(dtype, dims, data).toNumbers()]),
  )

test.each(['onnx_adapter', 'safetensors', 'npz'])('a PEFT folder to .%s', async (format) => {
  const folder = peft({ peft_type: 'LORA', r: 2, lora_alpha: 4 }, layer('m.proj'))
  const { code, out } = await cli(folder, 'adapters', 'export', 'lora', '-o', `out/sql.${format}`)
  expect(out).toMatch(/^out\/sql\.\w+: 2 weights, /)
  expect(code).toBe(0)
  expect(readdirSync(join(folder, 'out'))).toEqual([`sql.${format}`])
  const weights = readAdapter(join(folder, `out/sql.${format}`))
  expect(weights.map(({ name, dims, dtype }) => [name, dims, dtype])).toEqual([
    ['m.proj.lora_A.weight', [8, 2], 'float32'],
    ['m.proj.lora_B.weight', [2, 6], 'float32'],
  ])
  const read = values(join(folder, `out/sql.${format}`))
  expect(read['m.proj.lora_A.weight']!.slice(0, 4)).toEqual([0, 8, 1, 9])
  expect(read['m.proj.lora_B.weight']!.slice(0, 7)).toEqual([0, 4, 8, 12, 16, 20, 2])
})

test('rank-stabilised, patterns of alpha, float16', async () => {
  const config = { lora_alpha: 4, use_rslora: true, alpha_pattern: { 'b.proj': 8, '^a': 100 } }
  const folder = peft(config, { ...layer('a.proj', 4), ...layer('a.b.proj', 4) })
  await cli(folder, 'adapters', 'export', 'lora', '-o', 'x.npz', '--precision', 'float16')
  const read = values(join(folder, 'x.npz'))
  expect(read['a.proj.lora_B.weight']!.slice(0, 3)).toEqual([0, 8, 16])
  expect(read['a.b.proj.lora_B.weight']!.slice(0, 3)).toEqual([0, 16, 32])
  expect(readAdapter(join(folder, 'x.npz'))[0]!.dtype).toBe('float16')
})

test('files of another format or precision, and what is in them', async () => {
  const folder = peft({ lora_alpha: 2 }, layer('q'))
  await cli(folder, 'adapters', 'export', 'lora', '-o', 'a.npz')
  await cli(folder, 'adapters', 'export', 'a.npz', '-o', 'b.onnx_adapter', '--precision', 'float16')
  expect(values(join(folder, 'b.onnx_adapter'))).toEqual(values(join(folder, 'a.npz')))
  const { out } = await cli(folder, 'adapters', 'ls', 'b.onnx_adapter')
  expect(out.split('\n')).toEqual([
    'q.lora_A.weight  float16[8, 2]',
    'q.lora_B.weight  float16[2, 6]',
    '2 weights, 56 B',
  ])
  const listed = JSON.parse((await cli(folder, 'adapters', 'ls', 'lora', '--json')).out) as { weights: object[] }
  expect(listed.weights[0]).toEqual({ name: 'q.lora_A.weight', dtype: 'float32', dims: [8, 2] })
  expect((await cli(folder, 'adapters', 'ls', 'c.npz', '--json')).out).toContain('ADAPTER_UNREADABLE')
})

test('what it writes fits a model with adapter inputs', async () => {
  const folder = peft({ lora_alpha: 4 }, layer('proj'))
  writeLoraModel(folder)
  await cli(folder, 'adapters', 'export', 'lora', '-o', 'chat.onnx_adapter')
  const flags = ['--adapters', 'inputs', '--adapter-files', 'chat:chat.onnx_adapter', '--adapter-format', 'npz']
  expect((await cli(folder, 'build', 'lora.onnx', '-o', 'out', '--no-cache', ...flags)).err).toBe('')
  expect(readdirSync(join(folder, 'out')).sort()).toEqual(['lora-chat.npz', 'lora-default.npz', 'lora.onnx'])
  expect(values(join(folder, 'out/lora-chat.npz'))).toEqual(values(join(folder, 'chat.onnx_adapter')))
})

test.each(['lora', 'lora/adapter_model.safetensors'])('what PEFT saved is taken as it is: %s', async (path) => {
  const folder = peft({ lora_alpha: 4 }, layer('proj'))
  writeLoraModel(folder)
  await cli(folder, 'adapters', 'export', 'lora', '-o', 'chat.npz')
  const flags = ['--no-cache', '--adapter-format', 'npz', '--adapter-files']
  expect((await cli(folder, 'build', 'lora.onnx', '-o', 'out', ...flags, `chat:${path}`)).err).toBe('')
  expect(values(join(folder, 'out/lora-chat.npz'))).toEqual(values(join(folder, 'chat.npz')))
})

test.each([
  ['nope.safetensors', 'there is no file of the adapter "chat"'],
  ['empty', 'adapter_config.json'],
])('an adapter that is not there: %s', async (path, why) => {
  const folder = temporaryFolder()
  writeLoraModel(folder)
  mkdirSync(join(folder, 'empty'))
  const flags = ['--no-cache', '--json', '--adapter-files', `chat:${path}`]
  const { code, out } = await cli(folder, 'build', 'lora.onnx', '-o', 'out', ...flags)
  expect([code, JSON.parse(out)[0].error.code]).toEqual([1, 'ADAPTER_UNREADABLE'])
  expect(JSON.parse(out)[0].error.message).toContain(why)
  expect(readdirSync(folder)).not.toContain('out')
})

test('external adapters: model and data files, with their digests in the report', async () => {
  const folder = temporaryFolder()
  writeLoraModel(folder)
  const flags = ['--adapters', 'external', '--adapter-files', 'other:other.safetensors', '--no-cache']
  const { out } = await cli(folder, 'build', 'lora.onnx', '-o', 'out', '--json', ...flags)
  const [{ adapters }] = JSON.parse(out) as [{ adapters: { file: string; bytes: number; hash: string }[] }]
  expect(adapters).toHaveLength(2)
  for (const { file, bytes, hash } of adapters) {
    const content = readFileSync(file)
    expect([content.length, createHash('sha256').update(content).digest('hex')]).toEqual([bytes, hash])
  }
  const text = await cli(folder, 'build', 'lora.onnx', '-o', 'out', ...flags)
  expect(text.out).toContain('adapter "other": out/lora-other.onnx_adapter')
  const session = await InferenceSession.create(join(folder, 'out/lora.onnx'))
  await session.release()
})

test.each([
  ['DoRA without its magnitude vectors', { use_dora: true }, layer('q'), 'ADAPTER_INVALID'],
  ['another method', { peft_type: 'LOHA' }, layer('q'), 'ADAPTER_UNSUPPORTED'],
  ['weights that are no LoRA', {}, { 'base_model.model.head.weight': count(2, 2) }, 'ADAPTER_UNSUPPORTED'],
  ['one half of a pair', {}, { 'base_model.model.q.lora_B.weight': count(6, 2) }, 'ADAPTER_INVALID'],
  ['no weights', {}, {}, 'ADAPTER_INVALID'],
])('%s is refused', async (_, config, weights, code) => {
  const folder = peft(config, weights)
  const result = await cli(folder, 'adapters', 'export', 'lora', '-o', 'x.npz', '--json')
  expect(result.code).toBe(1)
  expect(JSON.parse(result.out).error.code).toBe(code)
  expect(readdirSync(folder)).toEqual(['lora'])
})

test('mistakes in the command line', async () => {
  const folder = temporaryFolder()
  expect(await cli(folder, 'adapters', 'import', 'x')).toMatchObject({ code: 2 })
  expect((await cli(folder, 'adapters', 'export', 'x')).err).toContain('-o')
  expect((await cli(folder, 'adapters', 'export', 'x', '-o', 'y.bin')).err).toContain('.onnx_adapter')
  expect((await cli(folder, 'adapters', 'export', 'x', '-o', 'y.npz')).err).toContain('adapter_config.json')
})
