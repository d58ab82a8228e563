import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { graph as graphAttribute, int } from '../../../src/graph/attributes.ts'
import { type Graph, Graph as SubGraph } from '../../../src/graph/graph.ts'
import { readModel } from '../../../src/graph/import.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import type { Value } from '../../../src/graph/value.ts'
import { encodeAdapter } from '../../../src/onnx/adapters/index.ts'
import { adapters } from '../../../src/passes/adapters/index.ts'
import type { PassResult } from '../../../src/passes/pass.ts'
import { addFunction, call } from '../../support/functions.ts'
import { matrix } from '../../support/matrix.ts'
import { buildModel, copyOf, difference, passContext, runModel } from '../../support/models.ts'
import { readTensors } from '../../support/npz.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { temporaryFolder } from '../../support/temporary.ts'
import { quantizeWeights } from '../../support/weights.ts'

const options = { adapters: 'inputs', adapterFormat: 'onnx_adapter' } as const
const run = async (model: Model, more: object = {}, file = 'model.onnx') =>
  adapters.run(model, { ...options, ...more }, passContext({ file }))

/** The model as it will be written: adapter weights are inputs without default. */
function written(model: Model, { adapters }: PassResult): Model {
  for (const name of adapters!.inputs) {
    const input = model.graph.inputs.find((value) => value.name === name)!
    model.graph.removeInitializer(input)
  }
  return copyOf(model)
}

describe.skipIf(!hasShared)('models that PEFT and PyTorch exported', () => {
  test.each([
    ['tiny-lora', 'tiny-lora', 8, 'm.model.encoder.layer.0.attention.self.query.lora_A.weight'],
    ['tiny-lora', 'tiny-lora-merged', 8, 'm.model.encoder.layer.0.attention.self.query.lora_A.weight'],
    ['tiny-lora-llama', 'tiny-lora-llama', 8, 'model.layers.0.self_attn.q_proj.lora_A.weight'],
  ])(
    '%s with its adapter gives what %s gives, without it what the base gives',
    async (name, reference, count, first) => {
      const model = readModel(shared(`own/${name}.onnx`))
      const original = readModel(shared(`own/${name}.onnx`))
      const result = await run(model)
      const { inputs, adapters: found } = result.adapters!
      expect(inputs).toHaveLength(count)
      expect(inputs.some((input) => input.endsWith(first))).toBe(true)
      expect(new Set(model.graph.inputs.map((value) => value.name)).size).toBe(model.graph.inputs.length)
      expect(found.map((adapter) => adapter.name)).toEqual(['default'])
      const base = written(model, result)
      for (const value of base.graph.inputs.filter((input) => inputs.includes(input.name)))
        expect(value.shape).toEqual(
          value.name.includes('lora_A') ? [32, 'lora_r'] : ['lora_r', /v_proj/.test(value.name) ? 16 : 32],
        )

      const feeds = Object.fromEntries(readTensors(shared(`own/${reference}-inputs.npz`)))
      const expected = readTensors(shared(`own/${reference}-expected.npz`))
      const outputs = await runModel(base, { ...feeds, ...Object.fromEntries(found[0]!.tensors) })
      for (const [output, tensor] of expected) expect(difference(outputs[output], tensor)).toBeLessThan(1e-5)

      // The original without the branches: their second factors are zero.
      for (const node of original.graph.nodes())
        if (/default_1[./]MatMul/.test(node.name)) {
          const { dims, elementCount } = node.input(1)!.constant!
          node.setInput(1, original.graph.addInitializer('zero', Tensor.float32(dims, new Float32Array(elementCount))))
        }
      const plain = await runModel(original, feeds)
      const empty = Object.fromEntries(
        [...found[0]!.tensors].map(([input, { dims }]) => {
          const rankless = dims.map((dim) => (dim === 4 ? 0 : dim))
          return [input, Tensor.float32(rankless, [])]
        }),
      )
      const without = await runModel(base, { ...feeds, ...empty })
      for (const output of expected.keys()) {
        expect(difference(without[output], plain[output]!)).toBeLessThan(1e-6)
        expect(difference(without[output], expected.get(output)!)).toBeGreaterThan(1e-3)
      }
    },
  )
})

/** `x W + bias + scale * (x A) B`; `more` adds to the branch's result. */
function layer(
  graph: Graph,
  x: Value,
  { scale = 0.5, rank = 2, name = '' }: { scale?: number; rank?: number; name?: string } = {},
): Value {
  const constant = (wish: string, tensor: Tensor) => graph.addInitializer(wish, tensor)
  const base = graph.insert({ op: 'MatMul', name: `${name}proj/MatMul`, inputs: [x, constant('w', matrix(8, 6, 1))] })
  const bias = graph.insert({
    op: 'Add',
    inputs: [base.output(), constant('bias', Tensor.float32([6], [1, 2, 3, 4, 5, 6]))],
  })
  const a = graph.insert({ op: 'MatMul', inputs: [x, constant('a', matrix(8, rank, 2))] })
  const b = graph.insert({ op: 'MatMul', inputs: [a.output(), constant('b', matrix(rank, 6, 3))] })
  const scaled = graph.insert({ op: 'Mul', inputs: [constant('s', Tensor.float32([], [scale])), b.output()] })
  return graph.insert({ op: 'Add', inputs: [scaled.output(), bias.output()] }).output()
}

const x = Tensor.float32(
  [3, 8],
  Float32Array.from({ length: 24 }, (_, i) => Math.cos(i)),
)

test('by structure alone; the scale becomes part of B', async () => {
  const model = buildModel(17, (graph, input) => [layer(graph, input('x', ['n', 8]), { name: '/block/' })])
  const [before] = Object.values(await runModel(copyOf(model), { x }))
  const result = await run(model)
  expect(result.adapters!.inputs).toEqual(['block.proj.lora_A.weight', 'block.proj.lora_B.weight'])
  expect([...model.graph.nodes()].map(({ opType }) => opType)).not.toContain('Mul')
  const { tensors } = result.adapters!.adapters[0]!
  expect(difference(tensors.get('block.proj.lora_B.weight'), matrix(2, 6, 3))).toBeGreaterThan(0.1)
  // As long as the model is not written the weights are defaults.
  expect(difference(Object.values(await runModel(copyOf(model), { x }))[0], before!)).toBeLessThan(1e-6)
  const [after] = Object.values(await runModel(written(model, result), { x, ...Object.fromEntries(tensors) }))
  expect(difference(after, before!)).toBeLessThan(1e-6)
})

test('weights behind Transpose, as exporters write those of layers that they do not fold', async () => {
  const model = buildModel(17, (graph, input) => {
    const value = input('x', ['n', 8])
    const constant = (name: string, tensor: Tensor) => {
      const weight = graph.addInitializer(name, tensor)
      return graph.insert({ op: 'Transpose', inputs: [weight] }).output()
    }
    const w = graph.insert({ op: 'MatMul', inputs: [value, constant('q.base_layer.weight', matrix(6, 8, 1))] })
    const a = graph.insert({
      op: 'MatMul',
      inputs: [value, constant('base_model.model.q.lora_A.sql.weight', matrix(2, 8, 2))],
    })
    const b = graph.insert({
      op: 'MatMul',
      inputs: [a.output(), constant('base_model.model.q.lora_B.sql.weight', matrix(6, 2, 3))],
    })
    return [graph.insert({ op: 'Add', inputs: [w.output(), b.output()] }).output()]
  })
  const [before] = Object.values(await runModel(copyOf(model), { x }))
  const result = await run(model)
  const [adapter] = result.adapters!.adapters
  expect(adapter!.name).toBe('sql')
  expect([...adapter!.tensors].map(([name, { dims }]) => [name, dims])).toEqual([
    ['q.lora_A.weight', [8, 2]],
    ['q.lora_B.weight', [2, 6]],
  ])
  const [after] = Object.values(await runModel(written(model, result), { x, ...Object.fromEntries(adapter!.tensors) }))
  expect(difference(after, before!)).toBeLessThan(1e-6)
})

describe('weights that several layers read', () => {
  /** Two layers, whose A and B are one initializer or two. */
  const make = (oneA: boolean, b: Tensor, quantized = false, names = 'qv') =>
    buildModel(17, (graph, input) => {
      const value = input('x', ['n', 8])
      const constant = (tensor: Tensor) => {
        if (!quantized) return graph.addInitializer('w', tensor)
        const codes = tensor.toNumbers().map((one) => Math.round(one * 64))
        const inputs = [
          graph.addInitializer('codes', Tensor.from('int8', tensor.dims, codes)),
          graph.addInitializer('step', Tensor.float32([], [1 / 64])),
        ]
        return graph.insert({ op: 'DequantizeLinear', inputs, types: [tensorType('float32', tensor.dims)] }).output()
      }
      const [first, second] = [matrix(8, 2, 2), matrix(8, 2, 3)].map((tensor) => (oneA ? undefined : constant(tensor)))
      const [sharedA, sharedB] = [constant(matrix(8, 2, 2)), constant(b)]
      return [first, second].map((a, i) => {
        const product = (from: Value, weight: Value, name: string) =>
          graph.insert({ op: 'MatMul', name: `/${names[i]}/${name}/MatMul`, inputs: [from, weight] }).output()
        const base = product(value, graph.addInitializer('w', matrix(8, 6, i)), 'base_layer')
        const branch = product(product(value, a ?? sharedA, 'default'), sharedB, 'default_1')
        return graph.insert({ op: 'Add', inputs: [base, branch] }).output()
      })
    })

  test.each([
    [false, 'qv'],
    [true, 'qv'],
    [false, 'qq'],
  ])('both: one layer, called twice (quantized: %s, names: %s)', async (quantized, names) => {
    const model = make(true, matrix(2, 6, 3), quantized, names)
    const before = Object.values(await runModel(copyOf(model), { x }))
    const result = await run(model)
    expect(result.adapters!.inputs).toEqual(['q.lora_A.weight', 'q.lora_B.weight'])
    const weights = Object.fromEntries(result.adapters!.adapters[0]!.tensors)
    const after = Object.values(await runModel(written(model, result), { x, ...weights }))
    for (const [i, tensor] of before.entries()) expect(difference(after[i], tensor)).toBeLessThan(1e-6)
  })

  test('zeros that were joined: two layers, for which other adapters differ', async () => {
    const result = await run(make(false, Tensor.float32([2, 6], new Float32Array(12))))
    expect(result.adapters!.inputs).toEqual(['q', 'v'].flatMap((at) => [`${at}.lora_A.weight`, `${at}.lora_B.weight`]))
  })
})

test.each([true, false])('both branches of an If have the layers (one initializer for both: %s)', async (isShared) => {
  const make = () =>
    buildModel(17, (graph, input) => {
      const value = input('x', ['n', 8])
      const choice = graph.insert({
        op: 'If',
        inputs: [input('c', [], 'bool')],
        types: [tensorType('float32', ['n', 6])],
      })
      const weights = (owner: Graph) =>
        [matrix(8, 6, 1), matrix(8, 2, 2), matrix(2, 6, 3), Tensor.float32([], [2])].map((tensor) =>
          owner.addInitializer('w', tensor),
        )
      const outer = isShared ? weights(graph) : undefined
      for (const [name, op] of [
        ['then_branch', 'Relu'],
        ['else_branch', 'Neg'],
      ] as const) {
        const branch = new SubGraph(graph.model, name, choice)
        const [w, a, b, s] = (outer ?? weights(branch)) as [Value, Value, Value, Value]
        const insert = (type: string, inputs: Value[], wish = type) =>
          branch.insert({ op: type, name: wish, inputs, types: [tensorType('float32', undefined)] }).output()
        const product = insert('MatMul', [insert('MatMul', [value, a], '/q/default/MatMul'), b], '/q/default_1/MatMul')
        const sum = insert('Add', [insert('MatMul', [value, w], '/q/base_layer/MatMul'), insert('Mul', [product, s])])
        branch.addOutput(insert(op, [sum]))
        choice.attributes.set(name, graphAttribute(branch))
      }
      return [choice.output()]
    })
  const model = make()
  const result = await run(model)
  const { inputs, adapters: found } = result.adapters!
  expect(inputs).toEqual(['q.lora_A.weight', 'q.lora_B.weight'])
  const base = written(model, result)
  for (const c of [true, false]) {
    const feeds = { x, c: Tensor.from('bool', [], [c ? 1 : 0]) }
    const [before] = Object.values(await runModel(make(), feeds))
    const [after] = Object.values(await runModel(base, { ...feeds, ...Object.fromEntries(found[0]!.tensors) }))
    expect(difference(after, before!)).toBeLessThan(1e-6)
  }
})

test('layers that are functions of the model, named by their weights', async () => {
  const model = buildModel(17, (graph, input) => {
    const x = input('x', ['n', 8])
    return ['q', 'v'].map((name, i) => {
      const weights = [matrix(8, 6, i), matrix(8, 2, 2 + i), matrix(2, 6, 3 + i)].map((tensor, at) =>
        graph.addInitializer(`${name}.${['base_layer', 'lora_A.sql', 'lora_B.sql'][at]}.weight`, tensor),
      )
      return call(graph, 'LoraLinear', `call_${name}`, [x, ...weights])
    })
  })
  addFunction(model, 'LoraLinear', ['x', 'w', 'a', 'b'], (body, [x, w, a, b]) => {
    const product = (left: Value, right: Value) => body.insert({ op: 'MatMul', inputs: [left, right] }).output()
    return [body.insert({ op: 'Add', inputs: [product(x!, w!), product(product(x!, a!), b!)] }).output()]
  })
  const before = Object.values(await runModel(copyOf(model), { x }))
  const result = await run(model)
  expect(result.adapters!.inputs).toEqual(['q', 'v'].flatMap((at) => [`${at}.lora_A.weight`, `${at}.lora_B.weight`]))
  const { name, tensors } = result.adapters!.adapters[0]!
  expect(name).toBe('sql')
  const after = Object.values(await runModel(written(model, result), { x, ...Object.fromEntries(tensors) }))
  for (const [i, tensor] of before.entries()) expect(difference(after[i], tensor)).toBeLessThan(1e-6)
})

test('further adapters or a name ask for the pass, `none` does not', () => {
  const format = { adapterFormat: 'npz' } as const
  expect(adapters.enabled(format)).toBe(false)
  expect(adapters.enabled({ ...format, adapters: 'inputs' })).toBe(true)
  expect(adapters.enabled({ ...format, adapterFiles: { a: 'a.npz' } })).toBe(true)
  expect(adapters.enabled({ ...format, adapterName: 'a' })).toBe(true)
  expect(adapters.enabled({ ...format, adapterName: 'a', adapters: 'none' })).toBe(false)
})

describe('near misses are left alone', () => {
  const fails = (model: Model) => expect(run(model)).rejects.toMatchObject({ code: 'ADAPTER_NOT_FOUND' })
  test('a rank that is not low', async () => {
    await fails(buildModel(17, (graph, input) => [layer(graph, input('x', ['n', 8]), { rank: 7 })]))
  })
  test('a bottleneck beside another input', async () => {
    const model = buildModel(17, (graph, input) => {
      const [y, z] = [input('x', ['n', 8]), input('z', ['n', 6])]
      const a = graph.insert({ op: 'MatMul', inputs: [y, graph.addInitializer('a', matrix(8, 2, 2))] })
      const b = graph.insert({ op: 'MatMul', inputs: [a.output(), graph.addInitializer('b', matrix(2, 6, 3))] })
      return [graph.insert({ op: 'Add', inputs: [z, b.output()] }).output()]
    })
    await fails(model)
  })
  test('a branch whose inside is read elsewhere', async () => {
    const model = buildModel(17, (graph, input) => {
      const result = layer(graph, input('x', ['n', 8]))
      const inside = [...graph.nodes()].find((node) => node.input(1)?.name === 'a')!
      return [result, inside.output()]
    })
    await fails(model)
  })
})

test('two adapters of one layer, and of one name', async () => {
  const twice = buildModel(17, (graph, input) => {
    const value = input('x', ['n', 8])
    const first = layer(graph, value, { name: '/q/' })
    const a = graph.insert({ op: 'MatMul', inputs: [value, graph.addInitializer('a2', matrix(8, 2, 2))] })
    const b = graph.insert({ op: 'MatMul', inputs: [a.output(), graph.addInitializer('b2', matrix(2, 6, 3))] })
    return [graph.insert({ op: 'Add', inputs: [first, b.output()] }).output()]
  })
  await expect(run(twice)).rejects.toMatchObject({ code: 'ADAPTER_DUPLICATE' })
  const model = buildModel(17, (graph, input) => [layer(graph, input('x', ['n', 8]))])
  await expect(run(model, { adapterFiles: { default: 'x.npz' } })).rejects.toMatchObject({ code: 'ADAPTER_DUPLICATE' })
})

describe('adapters from files', () => {
  const make = () => buildModel(17, (graph, input) => [layer(graph, input('x', ['n', 8]), { name: '/m/block/' })])
  const bytes = (tensor: Tensor) => ({ dtype: tensor.dtype!, dims: tensor.dims, data: tensor.bytes() })
  function file(...tensors: [string, Tensor][]): { path: string; model: string } {
    const folder = temporaryFolder()
    const content = tensors.map(([name, tensor]) => ({ name, ...bytes(tensor) }))
    writeFileSync(join(folder, 'other.safetensors'), encodeAdapter('safetensors', content).bytes)
    return { path: 'other.safetensors', model: join(folder, 'model.onnx') }
  }

  test('another rank, names that begin elsewhere', async () => {
    const { path, model } = file(
      ['block.proj.lora_A.weight', matrix(8, 3, 7)],
      ['block.proj.lora_B.weight', matrix(3, 6, 8)],
    )
    const { adapters: found } = (await run(make(), { adapterFiles: { other: path } }, model)).adapters!
    expect(found.map(({ name }) => name)).toEqual(['default', 'other'])
    expect(found[1]!.tensors.get('m.block.proj.lora_A.weight')?.dims).toEqual([8, 3])
  })

  test('float16 is converted; a layer that is not there is zero', async () => {
    const model = buildModel(17, (graph, input) => {
      const value = input('x', ['n', 8])
      const sum = graph.insert({
        op: 'Add',
        inputs: [layer(graph, value, { name: '/p/' }), layer(graph, value, { name: '/q/' })],
      })
      return [sum.output()]
    })
    const half = (dims: number[]) => Tensor.from('float16', dims, Array(dims[0]! * dims[1]!).fill(0.25))
    const given = file(['p.proj.lora_A.weight', half([8, 1])], ['p.proj.lora_B.weight', half([1, 6])])
    const { adapters: found } = (await run(model, { adapterFiles: { other: given.path } }, given.model)).adapters!
    const { tensors } = found[1]!
    expect(tensors.get('p.proj.lora_B.weight')?.toNumbers()).toEqual(Array(6).fill(0.25))
    expect(tensors.get('q.proj.lora_A.weight')?.toNumbers()).toEqual(Array(8).fill(0))
  })

  test.each([
    ['an unknown layer', ['other.lora_A.weight', matrix(8, 2, 1)], 'no layer'],
    ['what PEFT saved, as it is', ['base_model.model.q.lora_A.weight', matrix(2, 8, 1)], 'no layer'],
    ['another size', ['block.proj.lora_A.weight', matrix(9, 2, 1)], 'not float [8,r]'],
    ['one factor alone', ['block.proj.lora_A.weight', matrix(8, 2, 1)], 'one is missing'],
  ] as [string, [string, Tensor], string][])('%s is refused', async (_, tensor, why) => {
    const { path, model } = file(tensor)
    await expect(run(make(), { adapterFiles: { other: path } }, model)).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
      what: expect.stringContaining(why),
    })
  })
})

describe('packed', () => {
  const names = ['/p/', '/q/', '/r/']
  const make = (opset: number, ranks: readonly number[]) =>
    buildModel(opset, (graph, input) => {
      const value = input('x', ['n', 8])
      return names.slice(0, ranks.length).map((name, i) => layer(graph, value, { name, rank: ranks[i]! }))
    })

  test.each([
    ['Split with an attribute', 11, [2, 2]],
    ['Split with an input', 17, [2, 2, 2]],
    ['Split of another opset; ranks that differ', 21, [1, 3, 2]],
  ] as [string, number, number[]][])('%s: equal results, two inputs', async (_, opset, ranks) => {
    const model = make(opset, ranks)
    const before = await runModel(copyOf(model), { x })
    const result = await run(model, { pack: true })
    const { inputs, adapters: found } = result.adapters!
    expect(inputs).toEqual(['lora_A.packed_8', 'lora_B.packed_6'])
    const rank = Math.max(...ranks)
    expect([...found[0]!.tensors.values()].map(({ dims }) => dims)).toEqual([
      [8 * ranks.length, rank],
      [rank, 6 * ranks.length],
    ])
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['x', ...inputs])
    const defaults = Object.values(await runModel(copyOf(model), { x }))
    const base = written(model, result)
    const after = Object.values(await runModel(base, { x, ...Object.fromEntries(found[0]!.tensors) }))
    Object.values(before).forEach((tensor, i) => {
      expect(difference(defaults[i], tensor)).toBeLessThan(1e-6)
      expect(difference(after[i], tensor)).toBeLessThan(1e-6)
    })
  })

  test('an adapter of another rank, with weights for one layer only', async () => {
    const folder = temporaryFolder()
    const weights = { 'q.proj.lora_A.weight': matrix(8, 3, 7), 'q.proj.lora_B.weight': matrix(3, 6, 8) }
    const content = Object.entries(weights).map(([name, tensor]) => ({
      name,
      dtype: 'float32' as const,
      dims: tensor.dims,
      data: tensor.bytes(),
    }))
    writeFileSync(join(folder, 'other.npz'), encodeAdapter('npz', content).bytes)
    const runWith = async (pack: boolean) => {
      const model = make(17, [1, 2])
      const result = await run(model, { pack, adapterFiles: { other: 'other.npz' } }, join(folder, 'model.onnx'))
      const { tensors } = result.adapters!.adapters[1]!
      return Object.values(await runModel(written(model, result), { x, ...Object.fromEntries(tensors) }))
    }
    const [packed, plain] = [await runWith(true), await runWith(false)]
    for (const [i, tensor] of plain.entries()) expect(difference(packed[i], tensor)).toBeLessThan(1e-6)
  })

  test.each([
    ['onnx_adapter', false],
    ['safetensors', true],
  ] as const)('a packed file of %s fits, packed or not (pack: %s)', async (format, pack) => {
    const folder = temporaryFolder()
    const packed = (await run(make(17, [1, 3]), { pack: true })).adapters!.adapters[0]!.tensors
    const content = [...packed].map(([name, tensor]) => ({
      name,
      dtype: 'float32' as const,
      dims: tensor.dims,
      data: tensor.bytes(),
    }))
    writeFileSync(join(folder, `p.${format}`), encodeAdapter(format, content).bytes)
    const options = { pack, adapterFiles: { other: `p.${format}` } }
    const { adapters: found } = (await run(make(17, [1, 3]), options, join(folder, 'model.onnx'))).adapters!
    const [own, other] = found
    for (const [name, tensor] of other!.tensors)
      if (pack) expect(difference(own!.tensors.get(name), tensor)).toBe(0)
      // Ranks that were filled up stay so.
      else expect(tensor.dims).toContain(3)
    const model = make(17, [1, 3])
    const expected = Object.values(await runModel(copyOf(model), { x }))
    const result = await run(model, options, join(folder, 'model.onnx'))
    const after = await runModel(written(model, result), { x, ...Object.fromEntries(other!.tensors) })
    for (const [i, tensor] of Object.values(after).entries())
      expect(difference(tensor, expected[i]!)).toBeLessThan(1e-6)
  })

  test('a packed file for another number of layers is refused', async () => {
    const folder = temporaryFolder()
    const tensors = [{ name: 'lora_A.packed_8', dtype: 'float32' as const, dims: [24, 1], data: new Uint8Array(96) }]
    writeFileSync(join(folder, 'p.npz'), encodeAdapter('npz', tensors).bytes)
    const options = { adapterFiles: { other: 'p.npz' } }
    await expect(run(make(17, [1, 1]), options, join(folder, 'model.onnx'))).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
    })
  })

  test('what is alone in its shape stays as it is', async () => {
    const result = await run(make(17, [2]), { pack: true })
    expect(result.adapters!.inputs).toEqual(['p.proj.lora_A.weight', 'p.proj.lora_B.weight'])
  })
})

describe('layers whose own weights are quantized', () => {
  const [rows, rank, columns] = [32, 16, 64]
  const feed = { x: matrix(3, rows, 9) }
  const lora = (weight: (graph: Graph, name: string, tensor: Tensor) => Value) =>
    buildModel(21, (graph, input) => {
      const product = (from: Value, name: string, [k, n]: [number, number], seed: number) =>
        graph
          .insert({ op: 'MatMul', name: `/q/${name}/MatMul`, inputs: [from, weight(graph, name, matrix(k, n, seed))] })
          .output()
      const x = input('x', ['n', rows])
      const b = product(product(x, 'default', [rows, rank], 2), 'default_1', [rank, columns], 3)
      const scale = graph.addInitializer('s', Tensor.float32([], [0.5]))
      const scaled = graph.insert({ op: 'Mul', inputs: [b, scale] }).output()
      return [graph.insert({ op: 'Add', inputs: [product(x, 'base', [rows, columns], 1), scaled] }).output()]
    })

  /** Weights of int8 behind DequantizeLinear, with one scale or one per column. */
  const dequantized = (axis: number | undefined) => (graph: Graph, name: string, tensor: Tensor) => {
    const [k, n] = tensor.dims as [number, number]
    const codes = Tensor.from(
      'int8',
      [k, n],
      tensor.toNumbers().map((value) => Math.round(value * 127)),
    )
    const scales = Tensor.float32(axis === undefined ? [] : [n], Array(axis === undefined ? 1 : n).fill(1 / 127))
    const constants = [graph.addInitializer(`${name}_quantized`, codes), graph.addInitializer(`${name}_scale`, scales)]
    return graph
      .insert({
        op: 'DequantizeLinear',
        inputs: constants,
        attributes: axis === undefined ? {} : { axis: int(axis) },
        types: [tensorType('float32', [k, n])],
      })
      .output()
  }
  const plain = (graph: Graph, name: string, tensor: Tensor) => graph.addInitializer(name, tensor)

  test.each<[string, () => Model | Promise<Model>]>([
    ['QDQ per tensor', () => lora(dequantized(undefined))],
    ['QDQ per channel', () => lora(dequantized(1))],
    ...[4, 8].map((bits): [string, () => Promise<Model>] => [
      `MatMulNBits of ${bits} bits`,
      async () => {
        const model = lora(plain)
        await quantizeWeights(model, { bits, blockSize: 16 })
        expect([...model.graph.nodes()].filter(({ opType }) => opType === 'MatMulNBits')).toHaveLength(3)
        return model
      },
    ]),
  ])('%s: come out as float inputs, and the result is the same', async (_, make) => {
    const model = await make()
    const [before] = Object.values(await runModel(copyOf(model), feed))
    const result = await run(model)
    expect(result.adapters!.inputs).toEqual(['q.lora_A.weight', 'q.lora_B.weight'])
    const { tensors } = result.adapters!.adapters[0]!
    expect([...tensors.values()].map(({ dtype, dims }) => [dtype, dims])).toEqual([
      ['float32', [rows, rank]],
      ['float32', [rank, columns]],
    ])
    // The frozen product stays as it is.
    const ops = [...model.graph.nodes()].map(({ opType }) => opType)
    expect(ops.filter((op) => op === 'MatMulNBits' || op === 'DequantizeLinear')).toHaveLength(1)
    const [after] = Object.values(await runModel(written(model, result), { ...feed, ...Object.fromEntries(tensors) }))
    expect(difference(after, before!)).toBeLessThan(1e-4)
  })
})

test.each(['onnx_adapter', 'safetensors', 'npz'] as const)('a file of %s is within 2 % of its tensors', (format) => {
  const tensors = Array.from({ length: 24 }, (_, i) => {
    const dims = i % 2 ? [8, 768] : [768, 8]
    const data = new Uint8Array(768 * 8 * 4).map((_, at) => at * 31 + i)
    return {
      name: `model.layers.${i >> 1}.self_attn.q_proj.lora_${'AB'[i % 2]}.weight`,
      dtype: 'float32' as const,
      dims,
      data,
    }
  })
  const sum = tensors.reduce((bytes, { data }) => bytes + data.length, 0)
  expect(Math.abs(encodeAdapter(format, tensors).bytes.length / sum - 1)).toBeLessThan(0.02)
})
