import { expect, test } from 'vitest'
import { graph as graphAttribute } from '../../../../src/graph/attributes.ts'
import { Graph } from '../../../../src/graph/graph.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { tensorType } from '../../../../src/graph/types.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compareQuantized, nodesOf, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

const x = randomTensor([5, 8], 3)

/** `if c: x·w·v else: x·w`, with `w` of the main graph and `v` of the branch. */
const branches = () =>
  buildModel(17, (graph, input) => {
    const a = input('x', [5, 8])
    const condition = input('c', [], 'bool')
    const w = graph.addInitializer('w', randomTensor([8, 8], 2, 0.3))
    const first = graph.insert({ op: 'MatMul', inputs: [a, w], name: 'outer' }).output()
    const node = graph.insert({ op: 'If', inputs: [condition], name: 'if' })
    for (const [name, build] of [
      [
        'then_branch',
        (body: Graph) => product(body, product(body, a, w), body.addInitializer('v', randomTensor([8, 8], 4, 0.3))),
      ],
      ['else_branch', (body: Graph) => product(body, a, w)],
    ] as const) {
      const body = new Graph(graph.model, name, node)
      body.addOutput(build(body))
      node.attributes.set(name, graphAttribute(body))
    }
    return [node.output(), first]
  })

function product(body: Graph, a: Value, b: Value): Value {
  const types = [tensorType('float32', [5, 8])]
  return body.insert({ op: 'MatMul', inputs: [a, b], types }).output()
}

test.each([true, false])('branches of an If (%s)', async (condition) => {
  const c = Tensor.from('bool', [], [condition ? 1 : 0])
  const { changes, cosine, model } = await compareQuantized(branches(), { x, c })
  expect(changes).toBe(4)
  expect(cosine).toBeGreaterThan(0.999)
  expect(nodesOf(model, 'MatMulInteger')).toHaveLength(4)
  // The weight of the main graph is quantized there, once; its input too, which the branches see.
  expect(
    [...model.graph.initializers].filter(({ name }) => name.includes('quantized')).map(({ name }) => name),
  ).toEqual(['w_quantized'])
  expect(nodesOf(model, 'DynamicQuantizeLinear')).toHaveLength(2)
})

test('nodes of branches are chosen by name like others', async () => {
  const c = Tensor.from('bool', [], [1])
  expect((await compareQuantized(branches(), { x, c }, { nodes: ['outer'] })).changes).toBe(1)
  expect((await compareQuantized(branches(), { x, c }, { excludeNodes: ['outer'] })).changes).toBe(3)
})

test('the body of a Loop, with a weight from outside', async () => {
  const loop = buildModel(17, (graph, input) => {
    const a = input('x', [5, 8])
    const w = graph.addInitializer('w', randomTensor([8, 8], 2, 0.4))
    const [trips, go] = [
      graph.addInitializer('trips', Tensor.int64([3], [])),
      graph.addInitializer('go', Tensor.from('bool', [], [1])),
    ]
    const node = graph.insert({ op: 'Loop', inputs: [trips, go, a], name: 'loop' })
    const body = new Graph(graph.model, 'body', node)
    body.addInput('i', tensorType('int64', []))
    const condition = body.addInput('on', tensorType('bool', []))
    const state = body.addInput('state', tensorType('float32', [5, 8]))
    const types = [tensorType('bool', [])]
    body.addOutput(body.insert({ op: 'Identity', inputs: [condition], types }).output())
    body.addOutput(product(body, state, w))
    node.attributes.set('body', graphAttribute(body))
    return [node.output()]
  })
  const { changes, cosine, model } = await compareQuantized(loop, { x })
  expect(changes).toBe(1)
  expect(cosine).toBeGreaterThan(0.999)
  expect([...model.graph.initializers].map(({ name }) => name)).not.toContain('w')
})
