import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import { encodeAdapter } from '../../../src/onnx/adapters/index.ts'
import { adapters } from '../../../src/passes/adapters/index.ts'
import { factorsOf, inner, loha, outer, x } from '../../support/loha-model.ts'
import { matrix } from '../../support/matrix.ts'
import { buildModel, bytesOf, copyOf, difference, passContext, runModel } from '../../support/models.ts'
import { buildArtifact, modelOf } from '../../support/open-artifact.ts'
import { temporaryFolder } from '../../support/temporary.ts'

/** x W + x D, as an optimizer leaves a layer whose adapter's weight it computed. */
const make = ({ base = '/h/0/base_layer/MatMul', delta = '/h/0/MatMul_1', count = 1 } = {}) =>
  buildModel(17, (graph, input) => {
    const value = input('x', ['n', inner])
    return Array.from({ length: count }, (_, i) => {
      const product = (name: string, weight: Tensor) =>
        graph.insert({
          op: 'MatMul',
          name: name.replace('/0/', `/${i}/`),
          inputs: [value, graph.addInitializer('weight', weight)],
        })
      const inputs = [
        product(base, matrix(inner, outer, 1)).output(),
        product(delta, matrix(inner, outer, 5 + i)).output(),
      ]
      return graph.insert({ op: 'Add', inputs, types: [tensorType('float32', ['n', outer])] }).output()
    })
  })
const run = (model: Model, more: object = {}, file = 'model.onnx') =>
  adapters.run(model, { adapters: 'inputs', adapterFormat: 'onnx_adapter', ...more }, passContext({ file }))
const entry = (name: string, tensor: Tensor) => ({
  name,
  dtype: 'float32' as const,
  dims: tensor.dims,
  data: tensor.bytes(),
})

test.each([false, true])('the matrix comes out as it is (pack: %s)', async (pack) => {
  const model = make({ count: 2 })
  const before = Object.values(await runModel(copyOf(model), { x }))
  const { inputs, adapters: found } = (await run(model, { pack })).adapters!
  expect(inputs).toEqual(['h.0.delta.weight', 'h.1.delta.weight'])
  for (const input of [...model.graph.inputs]) if (input.tensor) model.graph.removeInitializer(input)
  expect(model.graph.inputs.map(({ shape }) => shape)).toEqual([
    ['n', inner],
    [inner, outer],
    [inner, outer],
  ])
  const after = Object.values(await runModel(copyOf(model), { x, ...Object.fromEntries(found[0]!.tensors) }))
  for (const [i, tensor] of before.entries()) expect(difference(after[i], tensor)).toBe(0)
})

test.each([
  ['nothing says which is the base', { base: '/h/0/MatMul' }],
  ['both are wrapped', { delta: '/h/0/base_layer/MatMul_1' }],
])('%s: left alone', async (_, names) => {
  await expect(run(make(names))).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' })
})

describe('adapters from files', () => {
  const outputOf = async (file: string, tensors: ReturnType<typeof entry>[]) => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'other.npz'), encodeAdapter('npz', tensors).bytes)
    const model = make()
    const { adapters: found } = (await run(model, { adapterFiles: { other: file } }, join(folder, 'm.onnx'))).adapters!
    for (const input of [...model.graph.inputs]) if (input.tensor) model.graph.removeInitializer(input)
    return Object.values(await runModel(model, { x, ...Object.fromEntries(found[1]!.tensors) }))[0]!
  }

  test('factors of LoHa are multiplied', async () => {
    const factors = factorsOf(3, 11)
    const tensors = Object.entries(factors).map(([name, tensor]) => entry(`0.${name}`, tensor))
    const reference = buildModel(17, (graph, input) => [
      loha(graph, input('x', ['n', inner]), 'q', factors, { scale: 1 }),
    ])
    const [expected] = Object.values(await runModel(reference, { x }))
    expect(difference(await outputOf('other.npz', tensors), expected!)).toBeLessThan(1e-5)
  })

  test('factors of LoRA are multiplied, and a matrix is taken as it is', async () => {
    const [a, b] = [matrix(inner, 2, 3), matrix(2, outer, 4)]
    const lora = await outputOf('other.npz', [entry('h.0.lora_A.weight', a), entry('h.0.lora_B.weight', b)])
    const product = Tensor.float32(
      [inner, outer],
      Float32Array.from({ length: inner * outer }, (_, i) => {
        const [row, column] = [Math.floor(i / outer), i % outer]
        return a.float32()[row * 2]! * b.float32()[column]! + a.float32()[row * 2 + 1]! * b.float32()[outer + column]!
      }),
    )
    expect(difference(await outputOf('other.npz', [entry('h.0.delta.weight', product)]), lora)).toBeLessThan(1e-5)
  })

  test('a factor that is missing, or does not fit', async () => {
    const { hada_w2_b, ...factors } = factorsOf(3, 11)
    const tensors = Object.entries(factors).map(([name, tensor]) => entry(`0.${name}`, tensor))
    const refused = { code: 'ADAPTER_MISMATCH' }
    await expect(outputOf('other.npz', tensors)).rejects.toMatchObject(refused)
    await expect(outputOf('other.npz', [...tensors, entry('0.hada_w2_b', matrix(2, inner, 1))])).rejects.toMatchObject(
      refused,
    )
    const other = [entry('0.lora_A.weight', matrix(inner + 1, 2, 1)), entry('0.lora_B.weight', matrix(2, outer, 1))]
    await expect(outputOf('other.npz', other)).rejects.toMatchObject(refused)
  })
})

test.each(['inputs', 'external'])(
  'adapters=%s: with the adapter what the model was, without it the base',
  async (mode) => {
    const file = join(temporaryFolder(), 'm.onnx')
    writeFileSync(file, bytesOf(make()))
    await using session = await modelOf(await buildArtifact(file, `adapters=${mode}`))({ adapter: 'default' })
    const feeds = { x: { data: x.float32(), dims: x.dims } } as never
    const [expected] = Object.values(await runModel(make(), { x }))
    const found = Object.values(await session.run(feeds))[0]!.toFloat32()
    expect(difference(Tensor.float32(expected!.dims, found), expected!)).toBeLessThan(1e-6)
    const base = Object.values(await (await session.withAdapter(undefined)).run(feeds))[0]!.toFloat32()
    expect(difference(Tensor.float32(expected!.dims, base), expected!)).toBeGreaterThan(0.1)
  },
)
