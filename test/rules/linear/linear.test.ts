import { describe, expect, test } from 'vitest'
import { linearBatchNorm } from '../../../src/rules/linear/batch-norm.ts'
import { matmulScale, matmulTranspose } from '../../../src/rules/linear/fused-matmul.ts'
import { gemmSum, gemmTransposedInput, gemmTransposedOutput, matmulAdd } from '../../../src/rules/linear/gemm.ts'
import { gemmActivation } from '../../../src/rules/linear/gemm-activation.ts'
import { draw, expectFusion, expectRefusal } from '../../support/rules.ts'

type Dims = (number | string)[]

describe('matmul-add', () => {
  const sum = (a: Dims, c: Dims, opset = 17) =>
    draw(({ op, input, weight }) => op.Add(input('c', c), op.MatMul(input('a', a), weight([4, 6]))), { opset })
  test('of a matrix', async () => {
    for (const c of [[6], [1, 6], ['N', 6], [1, 1], []]) await expectFusion(await sum(['N', 4], c), matmulAdd, 'Gemm')
  })
  test('near misses', async () => {
    expectRefusal(await sum(['B', 'N', 4], [6]), matmulAdd, 'is not known to be a matrix')
    expectRefusal(await sum(['N', 4], ['M', 6]), matmulAdd, 'not known to fit the product')
    expectRefusal(await sum(['N', 4], [1, 'N', 6]), matmulAdd, 'is not known to be of rank 2 or less')
    const shared = await draw(({ op, input, weight }) => {
      const product = op.MatMul(input('a', [2, 4]), weight([4, 6]))
      return [op.Add(product, weight([6])), op.Neg(product)]
    })
    expectRefusal(shared, matmulAdd, 'is also read by')
  })
})

describe('gemm-sum', () => {
  const sum = (name: 'Sum' | 'Add', c: Dims, used = false) =>
    draw(({ op, input, weight }) => {
      const gemm = op.Gemm(input('a', ['M', 4]), weight([6, 4]), used ? weight([6]) : null, {
        transB: 1,
        alpha: 0.5,
        beta: 0.25,
      })
      return op[name](input('c', c), gemm)
    })
  test('with Sum and Add', async () => {
    for (const name of ['Sum', 'Add'] as const) await expectFusion(await sum(name, ['M', 6]), gemmSum, 'Gemm')
  })
  test('near misses', async () => {
    expectRefusal(await sum('Sum', [6], true), gemmSum, 'has 3 inputs, not 2')
    expectRefusal(await sum('Sum', [1, 1, 6]), gemmSum, 'is not known to be of rank 2 or less')
    expectRefusal(await sum('Add', ['K', 6]), gemmSum, 'not known to fit the product')
  })
})

describe('gemm transposes', () => {
  test('of inputs, also shared ones', async () => {
    const model = await draw(({ op, input }) => {
      const [a, b] = [op.Transpose(input('a', ['K', 'M']), { perm: [1, 0] }), op.Transpose(input('b', ['N', 'K']))]
      return [op.Gemm(a, b, input('c', ['M', 'N']), { beta: 0.5 }), op.Neg(a)]
    })
    await expectFusion(model, gemmTransposedInput, 'Gemm, Neg, Transpose', { sizes: { K: 3, M: 4, N: 5 } })
  })
  test('of the output', async () => {
    const model = await draw(({ op, input }) =>
      op.Transpose(op.Gemm(input('a', [3, 4]), input('b', [3, 5]), { transA: 1, alpha: 2 }), { perm: [1, 0] }),
    )
    await expectFusion(model, gemmTransposedOutput, 'Gemm')
  })
  test('near misses', async () => {
    const identity = await draw(({ op, input }) =>
      op.Gemm(op.Transpose(input('a', [4, 4]), { perm: [0, 1] }), input('b', [4, 4])),
    )
    expectRefusal(identity, gemmTransposedInput, 'does not swap rows and columns')
    const third = await draw(({ op, input }) =>
      op.Gemm(input('a', [4, 4]), input('b', [4, 4]), op.Transpose(input('c', [4, 4]))),
    )
    expectRefusal(third, gemmTransposedInput, 'has no transposed input')
    const biased = await draw(({ op, input, weight }) =>
      op.Transpose(op.Gemm(input('a', [4, 4]), input('b', [4, 4]), weight([4])), { perm: [1, 0] }),
    )
    expectRefusal(biased, gemmTransposedOutput, 'has 3 inputs, not 2')
    const kept = await draw(({ op, input }) =>
      op.Transpose(op.Gemm(input('a', [4, 4]), input('b', [4, 4])), { perm: [0, 1] }),
    )
    expectRefusal(kept, gemmTransposedOutput, 'does not swap rows and columns')
  })
})

describe('linear-batch-norm', () => {
  const norm = (form: 'MatMul' | 'Gemm', options: { x?: Dims; c?: number[]; shared?: boolean } = {}) =>
    draw(({ op, input, weight }) => {
      const x = input('x', options.x ?? ['N', 20])
      const w = weight(form === 'MatMul' ? [20, 16] : [16, 20])
      const attributes = { transB: 1, alpha: 0.5, beta: 2 }
      const product = form === 'MatMul' ? op.MatMul(x, w) : op.Gemm(x, w, weight(options.c ?? [16]), attributes)
      const y = op.BatchNormalization(product, weight([16]), weight([16]), weight([16]), weight([16], { around: 2 }))
      return options.shared ? [y, op.Neg(w)] : y
    })
  test('after MatMul and Gemm', async () => {
    for (const form of ['MatMul', 'Gemm'] as const)
      await expectFusion(await norm(form), linearBatchNorm, 'Gemm', { tolerance: 2e-5 })
  })
  test('near misses', async () => {
    expectRefusal(await norm('MatMul', { x: [2, 16, 20] }), linearBatchNorm, 'is not a matrix')
    expectRefusal(await norm('MatMul', { shared: true }), linearBatchNorm, 'is shared with another operator')
    expectRefusal(await norm('Gemm', { c: [1] }), linearBatchNorm, 'is not a constant with a number per feature')
  })
})

describe('gemm-activation', () => {
  test('each kind', async () => {
    const model = await draw(({ op, input, weight }) => {
      const x = input('y', ['N', 4])
      const linear = () => op.Gemm(x, weight([4, 3]), weight([3]), { alpha: 0.5 })
      return [op.Relu(linear()), op.Tanh(linear()), op.LeakyRelu(linear(), { alpha: 0.3 }), op.Sigmoid(linear())]
    })
    await expectFusion(model, gemmActivation, '4 com.microsoft:FusedGemm')
  })
  test('near misses', async () => {
    const other = await draw(({ op, input, weight }) => op.Relu(op.MatMul(input('x', ['N', 4]), weight([4, 3]))))
    expectRefusal(other, gemmActivation, 'expected Gemm, found MatMul')
    const read = await draw(({ op, input, weight }) => {
      const y = op.Gemm(input('x', ['N', 4]), weight([4, 3]))
      return [op.Relu(y), y]
    })
    expectRefusal(read, gemmActivation, 'is also an output')
    const clip = await draw(({ op, input, weight }) => op.Relu(op.Neg(op.Gemm(input('x', ['N', 4]), weight([4, 3])))))
    expectRefusal(clip, gemmActivation, 'expected Gemm, found Neg')
  })
})

describe('fused-matmul', () => {
  const fused = 'com.microsoft:FusedMatMul'
  test('transposes of both inputs, and scales around', async () => {
    const model = await draw(({ op, input }) => {
      const a = op.Transpose(input('a', ['B', 2, 3, 4]), { perm: [0, 1, 3, 2] })
      const b = op.Transpose(input('b', ['B', 2, 5, 3]), { perm: [0, 1, 3, 2] })
      return op.Mul(op.MatMul(op.Div(a, 4), op.Mul(b, 3)), 2)
    })
    await expectFusion(model, [matmulScale, matmulTranspose], fused, { tolerance: 1e-5 })
    const node = model.graph.lastNode!
    expect([node.int('transA'), node.int('transB'), node.float('alpha')]).toEqual([1, 1, 1.5])
  })
  test('near misses', async () => {
    const transposed = (perm: number[]) =>
      draw(({ op, input }) => op.MatMul(op.Transpose(input('a', [3, 3, 3, 3]), { perm }), input('b', [3, 3, 3, 3])))
    expectRefusal(await transposed([0, 2, 1, 3]), matmulTranspose, 'not a swap of the last two dimensions')
    expectRefusal(await transposed([0, 1, 2, 3]), matmulTranspose, 'not a swap of the last two dimensions')
    const weights = await draw(({ op, input, weight }) => op.MatMul(op.Mul(input('a', [2, 3]), 2), weight([3, 3])))
    expectRefusal(weights, matmulScale, 'is constant')
    const divided = await draw(({ op, input, weight }) =>
      op.MatMul(op.Div(weight([], { around: 2 }), input('a', [3, 3])), input('b', [3, 3])),
    )
    expectRefusal(divided, matmulScale, 'expected a product of 2')
    const vector = await draw(({ op, input, weight }) =>
      op.Mul(op.MatMul(input('a', [3, 3]), input('b', [3, 3])), weight([3])),
    )
    expectRefusal(vector, matmulScale, '1 of 2 nodes')
  })
})
