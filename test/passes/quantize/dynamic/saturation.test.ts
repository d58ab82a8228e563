import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { nodesOf, quantizeDynamic, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

const quantized = async (w: Tensor, options = {}) => {
  const model = buildModel(17, (graph, input) => [
    graph.insert({ op: 'MatMul', inputs: [input('x', ['n', w.dims[0]!]), graph.addInitializer('w', w)] }).output(),
  ])
  await quantizeDynamic(model, { floatOutliers: false, ...options })
  const [product] = nodesOf(model, 'MatMulInteger')
  return { codes: product!.input(1)!.tensor!.toNumbers(), scale: model.graph.initializers }
}

/** Kernels for x86 without VNNI add the products of rows 0 and 1, 2 and 3, ... with unsigned bytes in 16 signed bits. */
function largestSum(codes: readonly number[], rows: number, columns: number): number {
  let largest = 0
  for (let row = 0; row < rows; row += 2)
    for (let column = 0; column < columns; column++) {
      const sum = codes[row * columns + column]! + (codes[(row + 1) * columns + column] ?? 0)
      largest = Math.max(largest, Math.abs(sum) * 255)
    }
  return largest
}

test('by default no pair of products can saturate, and codes are as wide as that allows', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(1000),
      fc.boolean(),
      async (rows, columns, seed, perChannel) => {
        const { codes } = await quantized(randomTensor([rows, columns], seed + 1), { perChannel })
        expect(largestSum(codes, rows, columns)).toBeLessThanOrEqual(32767)
        expect(Math.max(...codes.map(Math.abs))).toBeGreaterThan(63)
      },
    ),
    { numRuns: 60 },
  )
})

test('the full range saturates, the reduced one wastes a bit', async () => {
  const w = randomTensor([64, 8], 5)
  expect(largestSum((await quantized(w, { reduceRange: false })).codes, 64, 8)).toBeGreaterThan(32767)
  const widest = (codes: readonly number[]) => Math.max(...codes.map(Math.abs))
  expect(widest((await quantized(w, { reduceRange: true })).codes)).toBe(64)
  expect(widest((await quantized(w)).codes)).toBeGreaterThan(90)
})

test('pairs of opposite signs cost nothing', async () => {
  const w = Tensor.float32([4, 1], [1, -1, 0.5, -0.25])
  expect((await quantized(w)).codes).toEqual([127, -127, 64, -32])
})
