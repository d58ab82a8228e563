import { expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { toHalf } from '../../support/float16.ts'
import { buildModel } from '../../support/models.ts'
import { weight } from '../../support/static.ts'

const model = (): Model =>
  buildModel(17, (graph, input) => {
    const product = graph.insert({
      op: 'MatMul',
      inputs: [input('x', [1, 4]), weight(graph, 'w', 4, 4)],
      name: '/a/MatMul',
    })
    return [graph.insert({ op: 'Softmax', inputs: [product.output()], name: '/a/Softmax' }).output()]
  })

async function told(options: object): Promise<string[]> {
  const { notes } = await toHalf(model(), options)
  return notes.filter(({ code }) => code === 'float16/unmatched').map(({ message }) => message)
}

test('names that fit nothing in the model are told', async () => {
  expect(await told({ keepIoTypes: false, keepIo: ['y'] })).toEqual([
    expect.stringMatching(/no input or output "y".*x/),
  ])
  expect(await told({ float32Nodes: ['/b/*'] })).toEqual([expect.stringMatching(/called "\/b\/\*"/)])
  expect(await told({ float32Ops: ['softmax'] })).toEqual([expect.stringMatching(/Did you mean Softmax/)])
})

test('names that fit are not', async () => {
  expect(await told({ keepIoTypes: false, keepIo: ['x'], float32Nodes: ['/a/*', '*Soft*'] })).toEqual([])
  // Lists of operators are made for many models.
  expect(await told({ float32Ops: ['Softmax', 'LayerNormalization'] })).toEqual([])
})
