import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { float, int } from '../../src/graph/attributes.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import type { Value } from '../../src/graph/value.ts'
import { readAdapter } from '../../src/onnx/adapters/index.ts'
import { dora, own, rows } from '../support/dora-model.ts'
import { factorsOf, inner, loha } from '../support/loha-model.ts'
import { matrix } from '../support/matrix.ts'
import { buildModel, bytesOf } from '../support/models.ts'
import { buildArtifact, modelOf } from '../support/open-artifact.ts'
import { temporaryFolder } from '../support/temporary.ts'

type Op = (type: string, inputs: Value[], more?: Partial<Parameters<Graph['insert']>[0]>) => Value
type Product = (graph: Graph, op: Op, from: Value, weight: Tensor, name: string) => Value

/** x W + (x A) B, scaled by `scale`, each product made by `product`. */
const lora = (product: Product, scale: (graph: Graph, op: Op, value: Value) => Value) => () =>
  buildModel(17, (graph, input) => {
    const x = input('x', ['n', rows])
    const op: Op = (type, inputs, more) => graph.insert({ op: type, inputs, ...more }).output()
    const base = op('MatMul', [x, graph.addInitializer('w', matrix(rows, 48, 1))], { name: '/q/MatMul' })
    const a = product(graph, op, x, matrix(rows, 8, 2), '/q/default/MatMul')
    const b = scale(graph, op, product(graph, op, a, matrix(8, 48, 3), '/q/default_1/MatMul'))
    return [op('Add', [base, b], { types: [tensorType('float32', ['n', 48])] })]
  })
const number = (graph: Graph, value: number) => graph.addInitializer('scale', Tensor.float32([], [value]))
const times = (value: number) => (graph: Graph, op: Op, from: Value) => op('Mul', [number(graph, value), from])
const turned = (tensor: Tensor): Tensor => {
  const [first, second] = tensor.dims as [number, number]
  const from = tensor.float32()
  return Tensor.float32(
    [second, first],
    Float32Array.from(from, (_, i) => from[(i % first) * second + Math.floor(i / first)]!),
  )
}
const direct: Product = (graph, op, from, weight, name) =>
  op('MatMul', [from, graph.addInitializer('a', weight)], { name })
const transposed: Product = (graph, op, from, weight, name) =>
  op('MatMul', [from, op('Transpose', [graph.addInitializer('a', turned(weight))])], { name })
const gemm: Product = (graph, op, from, weight, name) =>
  op('Gemm', [from, graph.addInitializer('a', turned(weight))], { name, attributes: { transB: int(1) } })
const halved: Product = (graph, op, from, weight, name) =>
  op('Gemm', [from, graph.addInitializer('a', weight)], { name, attributes: { alpha: float(0.5) } })

test.each<[string, () => ReturnType<typeof buildModel>, number, string[]]>([
  ['scale that is a power of two', lora(direct, times(0.25)), rows, ['lora_A.weight', 'lora_B.weight']],
  ['scale that is none', lora(direct, times(0.3)), rows, ['lora_A.weight', 'lora_B.weight', 'scale']],
  [
    'quotient',
    lora(direct, (graph, op, value) => op('Div', [value, number(graph, 3)])),
    rows,
    ['lora_A.weight', 'lora_B.weight', 'scale'],
  ],
  ['Transpose', lora(transposed, times(2)), rows, ['lora_A.weight', 'lora_B.weight']],
  ['Gemm of exchanged weights', lora(gemm, times(1)), rows, ['lora_A.weight', 'lora_B.weight']],
  ['Gemm with a factor', lora(halved, times(1)), rows, ['lora_A.weight', 'lora_B.weight']],
  [
    'DoRA',
    () => buildModel(17, (graph, input) => [dora(graph, input('x', ['n', rows]), '/q/', own, { scale: 0.3 })]),
    rows,
    ['lora_A.weight', 'lora_B.weight', 'dora_M.weight', 'dora_factor.weight', 'scale'],
  ],
  [
    'LoHa',
    () =>
      buildModel(17, (graph, input) => [loha(graph, input('x', ['n', inner]), 'q', factorsOf(2, 3), { scale: 0.3 })]),
    inner,
    ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b', 'scale'],
  ],
])('%s: as external data every bit stays', async (_, make, width, kinds) => {
  const file = join(temporaryFolder(), 'm.onnx')
  writeFileSync(file, bytesOf(make()))
  const artifact = await buildArtifact(file, 'adapters=external&optimize=none')
  const names = readAdapter(artifact.adapters[0]!.file).map(({ name }) => name)
  expect(names.sort()).toEqual(kinds.map((kind) => `q.${kind}`).sort())
  await using session = await modelOf(artifact)({ adapter: 'default' })
  const raw = await InferenceSession.create(file)
  for (const count of [1, 2, 5]) {
    const data = matrix(count, width, count).float32()
    const [expected] = Object.values(await raw.run({ x: new OrtTensor('float32', data, [count, width]) }))
    const [found] = Object.values(await session.run({ x: { data, dims: [count, width] } } as never))
    expect(found!.toFloat32()).toEqual(expected!.data)
  }
  await raw.release()
})
