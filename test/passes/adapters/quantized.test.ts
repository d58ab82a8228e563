import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { adapters } from '../../../src/passes/adapters/index.ts'
import { linearOf } from '../../../src/passes/adapters/linear.ts'
import { floatWeight } from '../../../src/passes/adapters/quantized.ts'
import { columns, dora, own, rows } from '../../support/dora-model.ts'
import { factorsOf, inner, loha } from '../../support/loha-model.ts'
import { matrix } from '../../support/matrix.ts'
import { buildModel, copyOf, difference, passContext, runModel } from '../../support/models.ts'
import { jsonFile, quantizeStatic, REFERENCE } from '../../support/static.ts'
import { quantizeWeights } from '../../support/weights.ts'

const lora = () =>
  buildModel(21, (graph, input) => {
    const x = input('x', ['n', rows])
    const product = (from: Value, name: string, weight: Tensor) =>
      graph.insert({ op: 'MatMul', name, inputs: [from, graph.addInitializer('weight', weight)] }).output()
    const a = product(x, '/q/default/MatMul', matrix(rows, 4, 2))
    const b = product(a, '/q/default_1/MatMul', matrix(4, columns, 3))
    const factor = graph.addInitializer('factor', Tensor.float32([], [0.5]))
    const scaled = graph.insert({ op: 'Mul', inputs: [b, factor] }).output()
    const base = product(x, '/q/base_layer/MatMul', matrix(rows, columns, 1))
    return [graph.insert({ op: 'Add', inputs: [base, scaled] }).output()]
  })
const LORA = ['q.lora_A.weight', 'q.lora_B.weight']
const kinds: [string, () => Model, number, string[]][] = [
  ['LoRA', lora, rows, LORA],
  [
    'DoRA',
    () => buildModel(17, (graph, input) => [dora(graph, input('x', ['n', rows]), '/q/', own)]),
    rows,
    [...LORA, 'q.dora_M.weight'],
  ],
  [
    'LoHa',
    () => buildModel(17, (graph, input) => [loha(graph, input('x', ['n', inner]), 'q', factorsOf(4, 3))]),
    inner,
    ['q.hada_w1_a', 'q.hada_w1_b', 'q.hada_w2_a', 'q.hada_w2_b'],
  ],
]

/** The model with its adapter taken out and fed again, and without it. */
async function takenOut(
  model: Model,
  x: Tensor,
): Promise<{ names: string[]; fed: Tensor; base: Tensor; ops: string[] }> {
  const options = { adapters: 'inputs', adapterFormat: 'onnx_adapter' } as const
  const result = await adapters.run(model, options, passContext())
  const { inputs, adapters: found } = result.adapters!
  for (const value of [...model.graph.inputs]) if (inputs.includes(value.name)) model.graph.removeInitializer(value)
  const { tensors } = found[0]!
  const zeros = [...tensors].map(([name, { dims, elementCount }]): [string, Tensor] => [
    name,
    Tensor.float32(dims, new Float32Array(elementCount)),
  ])
  const run = async (weights: Iterable<readonly [string, Tensor]>) =>
    Object.values(await runModel(copyOf(model), { x, ...Object.fromEntries(weights) }))[0]!
  const ops = [...model.graph.nodes()].map(({ opType }) => opType)
  return { names: [...inputs], fed: await run(tensors), base: await run(zeros), ops }
}

const worst = (a: Tensor, b: Tensor) => {
  const other = b.toNumbers()
  return Math.max(...a.toNumbers().map((value, at) => Math.abs(value - other[at]!)))
}

describe.each(kinds)('%s whose weights are quantized', (_, make, width, names) => {
  const x = matrix(6, width, 9)

  test.each([4, 8])('MatMulNBits of %s bits: float weights come out, with the same results', async (bits) => {
    const model = make()
    await quantizeWeights(model, { bits, blockSize: 16 })
    const count = [...model.graph.nodes()].filter(({ opType }) => opType === 'MatMulNBits').length
    const [before] = Object.values(await runModel(copyOf(model), { x }))
    const { names: found, fed, base, ops } = await takenOut(model, x)
    expect(found).toEqual(names)
    // Only the frozen product is left as it was, if it was large enough to be quantized.
    expect(count).toBeGreaterThan(0)
    expect(ops.filter((op) => op === 'MatMulNBits').length).toBeLessThanOrEqual(1)
    expect(difference(fed, before!)).toBeLessThan(1e-4)
    expect(worst(base, before!)).toBeGreaterThan(0.1)
  })

  test('QDQ of weights and activations: the branch is float, the frozen product is not', async () => {
    const model = make()
    const [exact] = Object.values(await runModel(copyOf(model), { x }))
    const calibration = jsonFile('data.jsonl', JSON.stringify({ x: { dims: [...x.dims], data: x.toNumbers() } }))
    await quantizeStatic(model, { ...REFERENCE, calibration })
    const [before] = Object.values(await runModel(copyOf(model), { x }))
    const { names: found, fed, base, ops } = await takenOut(model, x)
    expect(found).toEqual(names)
    expect(ops).toContain('QuantizeLinear')
    const size = Math.max(...exact!.toNumbers().map(Math.abs))
    // What is no longer rounded can only come nearer to the exact result, but for the sum of both.
    expect(worst(fed, exact!)).toBeLessThan(Math.max(worst(before!, exact!), 0.02 * size))
    expect(worst(base, exact!)).toBeGreaterThan(0.08 * size)
  })
})

test('a product with more rows than go at a time: its weights are those that it computes with', async () => {
  const model = buildModel(21, (graph, input) => {
    const weight = graph.addInitializer('weight', matrix(2080, 16, 5))
    return [graph.insert({ op: 'MatMul', inputs: [input('x', ['n', 2080]), weight] }).output()]
  })
  await quantizeWeights(model, { bits: 4, blockSize: 32, scaleType: 'float32' })
  const [product] = [...model.graph.nodes()].filter(({ opType }) => opType === 'MatMulNBits')
  const weights = await floatWeight(linearOf(product!)!, createOrtService())
  expect(weights.dims).toEqual([2080, 16])
  const x = matrix(3, 2080, 7)
  const [expected] = Object.values(await runModel(copyOf(model), { x }))
  const plain = buildModel(21, (graph, input) => [
    graph.insert({ op: 'MatMul', inputs: [input('x', ['n', 2080]), graph.addInitializer('weight', weights)] }).output(),
  ])
  expect(difference(Object.values(await runModel(plain, { x }))[0]!, expected!)).toBeLessThan(1e-4)
})
