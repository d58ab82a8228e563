import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { chooseSensitive } from '../../../../src/passes/quantize/weights/mixed.ts'
import { draw } from '../../../support/rules.ts'
import { quantizeWeights } from '../../../support/weights.ts'

const WIDTH = 32
const LAYERS = 3

/** Layers of attention with one head, each with products for queries, keys, values, result and a wide one. */
function attention(): Promise<Model> {
  return draw(({ input, op, weight }) => {
    let x = input('x', [1, 4, WIDTH])
    const product = (from: Value, columns = WIDTH): Value =>
      op.Add(op.MatMul(from, weight([WIDTH, columns])), weight([columns]))
    for (let layer = 0; layer < LAYERS; layer++) {
      const [query, key, value] = [product(x), product(x), product(x)]
      const scores = op.Softmax(op.MatMul(query, op.Transpose(key, { perm: [0, 2, 1] })), { axis: -1 })
      x = product(op.Reshape(op.MatMul(scores, op.Identity(value)), weight([3])))
      x = op.MatMul(product(x, 4 * WIDTH), weight([4 * WIDTH, WIDTH]))
    }
    return x
  })
}

describe('weights of 8 bits', () => {
  test('are those of values from the last layer on, after the product that follows the last attention', async () => {
    const model = await attention()
    const products = [...model.graph.allNodes()].filter((node) => node.is('MatMul') && node.input(1)!.constant)
    const roots = products.map((node) => node.input(1)!)
    const size = WIDTH * WIDTH
    const budgetFor = (weights: number): number => (weights * size * 4 * 32) / 12
    const chosen = (weights: number): number[] =>
      [...chooseSensitive(products, budgetFor(weights), 32, () => false)]
        .map((root) => roots.indexOf(root))
        .sort((a, b) => a - b)
    // per layer: query, key, value, result, wide, narrow
    expect(chosen(0.9)).toEqual([])
    expect(chosen(1)).toEqual([14])
    expect(chosen(2)).toEqual([14, 15])
    expect(chosen(3)).toEqual([8, 14, 15])
    expect(chosen(4)).toEqual([2, 8, 14, 15])
    // then from the end: the last product is as large as four of these
    expect(chosen(8)).toEqual([2, 8, 14, 15, 17])
    expect([...chooseSensitive(products, budgetFor(1), 32, (root) => root === roots[14])]).toEqual([roots[15]])
  })

  test('without attention are taken from the end', async () => {
    const model = await draw(({ input, op, weight }) =>
      op.MatMul(op.Relu(op.MatMul(input('x', [1, 32]), weight([32, 32]))), weight([32, 32])),
    )
    const products = [...model.graph.allNodes()].filter((node) => node.is('MatMul'))
    const chosen = chooseSensitive(products, (32 * 32 * 4 * 32) / 12, 32, () => false)
    expect([...chosen]).toEqual([products[1]!.input(1)])
  })
})

test('nodes that are named get 8 bits, whatever else does', async () => {
  const model = await draw(({ input, op, weight }) =>
    op.MatMul(op.Relu(op.MatMul(input('x', [1, 64]), weight([64, 64]))), weight([64, 64])),
  )
  const [first] = [...model.graph.allNodes()].filter((node) => node.is('MatMul'))
  first!.name = '/layer.0/first'
  const { notes } = await quantizeWeights(model, { mixedBits: false, eightBitNodes: ['**/first', 'nowhere'] })
  const bits = [...model.graph.allNodes()]
    .filter(({ opType }) => opType === 'MatMulNBits')
    .map((node) => node.int('bits'))
  expect(bits).toEqual([8, 4])
  expect(notes.map(({ message }) => message)).toContain('no node of the model is called "nowhere" (eightBitNodes)')
})
