import { expect, test } from 'vitest'
import { graph as graphAttribute } from '../../src/graph/attributes.ts'
import { Graph } from '../../src/graph/graph.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { withRounding } from '../../src/measure/rounded.ts'
import { toHalf } from '../support/float16.ts'
import { draw, expectClose, run, type Sketch } from '../support/rules.ts'

test('every result is rounded: an overflow that the CPU hides shows', async () => {
  const model = await draw(({ input, op }) => op.Div(op.Mul(op.Add(op.Abs(input('x', [4])), 1), 6e4), 6e4))
  await toHalf(model)
  const [hidden] = Object.values(await run(model))
  expect(hidden!.toNumbers().every(Number.isFinite)).toBe(true)
  const rounded = await withRounding(model)
  const [shown] = Object.values(await run(rounded!))
  expect(shown!.toNumbers()).toContain(Number.POSITIVE_INFINITY)
  // The model itself is as it was.
  expect([...model.graph.nodes()].filter(({ opType }) => opType === 'Cast')).toHaveLength(2)
})

test('the rest stays: names of values, what bodies compute, operators that only move elements', async () => {
  const model = await draw(({ graph, input, op, weight, constant }: Sketch) => {
    const x = op.MatMul(input('x', [2, 4]), weight([4, 4]))
    const node = graph.insert({ op: 'If', inputs: [constant(Tensor.from('bool', [], [1]))], types: [x.type] })
    for (const name of ['then_branch', 'else_branch']) {
      const body = new Graph(graph.model, name, node)
      const inner = body.insert({ op: 'Exp', inputs: [x], types: [x.type] })
      body.addOutput(inner.output())
      node.attributes.set(name, graphAttribute(body))
    }
    return op.Transpose(op.Tanh(node.output()), { perm: [1, 0] })
  })
  await toHalf(model)
  const expected = await run(model)
  const rounded = (await withRounding(model))!
  expectClose(await run(rounded), expected, 2e-3)
  const names = new Set([...rounded.graph.nodes()].flatMap(({ outputs }) => outputs.map((value) => value?.name)))
  for (const node of model.graph.nodes()) for (const value of node.outputs) expect(names).toContain(value!.name)
  const ops = [...rounded.graph.allNodes()].filter(({ inputs }) => inputs.some((value) => value?.dtype === 'float16'))
  expect([...new Set(ops.map(({ opType }) => opType))].sort()).toEqual(['Cast', 'Transpose'])
})

test('a model without halves is not changed', async () => {
  expect(await withRounding(await draw(({ input, op }) => op.Exp(input('x', [2]))))).toBeUndefined()
})
