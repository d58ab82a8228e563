import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Tensor } from '../../../src/graph/tensor.ts'
import { encodeAdapter } from '../../../src/onnx/adapters/index.ts'
import { readPeftFolder } from '../../../src/passes/adapters/peft.ts'
import { type LohaFactors as Factors, factorsOf, inner, loha, outer, x } from '../../support/loha-model.ts'
import { matrix } from '../../support/matrix.ts'
import { buildModel, bytesOf, copyOf, difference } from '../../support/models.ts'
import { buildArtifact, modelOf } from '../../support/open-artifact.ts'
import { outputsOf, takeOut, written } from '../../support/taken-adapters.ts'
import { temporaryFolder } from '../../support/temporary.ts'

const make = (ranks: readonly number[], seed = 2, more: { scale?: number; combine?: string } = {}) =>
  buildModel(17, (graph, input) => {
    const value = input('x', ['n', inner])
    return ranks.map((rank, i) => loha(graph, value, `h.${i}`, factorsOf(rank, seed + i), more))
  })
function close(actual: Tensor[], expected: Tensor[]): void {
  expect(actual).toHaveLength(expected.length)
  for (const [i, tensor] of expected.entries()) expect(difference(actual[i], tensor)).toBeLessThan(1e-5)
}

const KINDS = ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b']
test.each([false, true])('comes out, with equal results; zeros leave the base (pack: %s)', async (pack) => {
  const model = make([2, 3])
  const before = await outputsOf(copyOf(model), { x })
  const result = await takeOut(model, { pack })
  const { inputs, adapters: found } = result.adapters!
  expect(inputs).toEqual(
    pack
      ? ['hada_w1_a.packed_6', 'hada_w1_b.packed_8', 'hada_w2_a.packed_6', 'hada_w2_b.packed_8']
      : [0, 1].flatMap((at) => KINDS.map((kind) => `h.${at}.${kind}`)),
  )
  expect(found[0]!.name).toBe('default')
  close(await outputsOf(copyOf(model), { x }), before)
  const base = written(model, result)
  const { tensors } = found[0]!
  close(await outputsOf(base, { x, ...Object.fromEntries(tensors) }), before)
  const zeros = [...tensors].map(([name, { dims, elementCount }]): [string, Tensor] => [
    name,
    Tensor.float32(dims, new Float32Array(elementCount)),
  ])
  const plain = await outputsOf(make([2, 3], 2, { scale: 0 }), { x })
  close(await outputsOf(base, { x, ...Object.fromEntries(zeros) }), plain)
  expect(difference(before[0], plain[0]!)).toBeGreaterThan(0.1)
})

test('a sum of two products is no LoHa', async () => {
  await expect(takeOut(make([2], 2, { combine: 'Add' }))).rejects.toMatchObject({
    code: 'ADAPTER_NOT_FOUND',
    what: expect.stringContaining('LoHa'),
  })
})

describe('adapters from files', () => {
  const write = (folder: string, factors: Partial<Factors>) => {
    const tensors = Object.entries(factors).map(([name, tensor]) => ({
      name: `h.0.${name}`,
      dtype: 'float32' as const,
      dims: tensor.dims,
      data: tensor.bytes(),
    }))
    writeFileSync(join(folder, 'other.npz'), encodeAdapter('npz', tensors).bytes)
  }

  test('another rank gives what the model exported with it gives', async () => {
    const folder = temporaryFolder()
    write(folder, factorsOf(4, 11))
    const model = make([2])
    const result = await takeOut(model, { adapterFiles: { other: 'other.npz' } }, join(folder, 'model.onnx'))
    const { tensors } = result.adapters!.adapters[1]!
    const after = await outputsOf(written(model, result), { x, ...Object.fromEntries(tensors) })
    close(after, await outputsOf(make([4], 11, { scale: 1 }), { x }))
  })

  test.each<[string, Partial<Factors>]>([
    ['a factor is missing', { hada_w1_a: matrix(outer, 2, 1) }],
    ['ranks differ', { ...factorsOf(2, 1), hada_w2_b: matrix(3, inner, 1) }],
    ['another size', { ...factorsOf(2, 1), hada_w2_b: matrix(2, inner + 1, 1) }],
  ])('%s', async (_, factors) => {
    const folder = temporaryFolder()
    write(folder, factors)
    await expect(
      takeOut(make([2]), { adapterFiles: { o: 'other.npz' } }, join(folder, 'm.onnx')),
    ).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
    })
  })
})

test('what PEFT saved is scaled by alpha / rank; what does not go together is refused', () => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'peft'))
  const write = (factors: Partial<Factors>, more: object = {}) => {
    const tensors = Object.entries(factors).map(([name, tensor]) => ({
      name: `base_model.model.h.0.${name}`,
      dtype: 'float32' as const,
      dims: tensor.dims,
      data: tensor.bytes(),
    }))
    writeFileSync(join(folder, 'peft/adapter_model.safetensors'), encodeAdapter('safetensors', tensors).bytes)
    const config = { peft_type: 'LOHA', r: 2, alpha: 4, ...more }
    writeFileSync(join(folder, 'peft/adapter_config.json'), JSON.stringify(config))
    return readPeftFolder(join(folder, 'peft'), 'float32')
  }
  const factors = factorsOf(2, 3)
  const valuesOf = (found: ReturnType<typeof write>, name: string) => {
    const { dims, data } = found.find((one) => one.name === name)!
    return Tensor.of('float32', dims, data).toNumbers()
  }
  const first = factors.hada_w1_a.toNumbers()
  const found = write(factors)
  expect(found.map(({ name }) => name)).toEqual(KINDS.map((kind) => `h.0.${kind}`))
  expect(valuesOf(found, 'h.0.hada_w1_a')).toEqual(first.map((value) => value * 2))
  expect(valuesOf(found, 'h.0.hada_w2_a')).toEqual(factors.hada_w2_a.toNumbers())
  expect(valuesOf(write(factors, { alpha_pattern: { 'h.0': 2 } }), 'h.0.hada_w1_a')).toEqual(first)
  expect(() => write({ hada_w1_a: factors.hada_w1_a })).toThrow('do not go together')
  expect(() => write({ ...factors, hada_w2_b: matrix(3, inner, 1) })).toThrow('do not go together')
  expect(() => write({ hada_t1: matrix(2, 2, 1) } as object)).toThrow('is no LoHa matrix')
  expect(() => write({})).toThrow('no weights')
})

test.each([
  ['adapters=inputs', 1e-4],
  ['adapters=inputs&pack&optimize=clean&fuse=auto', 1e-4],
  ['adapters=inputs&pack&dtype=fp16&keep_io_types', 0.02],
])('%s: built and run by the wrapper, with and without the adapter', async (query, tolerance) => {
  const folder = temporaryFolder()
  const file = join(folder, 'loha.onnx')
  writeFileSync(file, bytesOf(make([2, 3])))
  await using session = await modelOf(await buildArtifact(file, query))()
  const feeds = { x: { data: x.toNumbers(), dims: x.dims } } as never
  for (const [view, scale] of [
    [session, 0],
    [await session.withAdapter('default'), 0.5],
  ] as const) {
    const outputs = await view.run(feeds)
    const expected = await outputsOf(make([2, 3], 2, { scale }), { x })
    const found = Object.values(outputs).map((output) => Tensor.float32([3, outer], output!.toFloat32()))
    for (const [i, tensor] of expected.entries()) expect(difference(found[i], tensor)).toBeLessThan(tolerance)
  }
})
