import { describe, expect, test } from 'vitest'
import { explain, integersFrom, no, rewrite, rule } from '../../src/rewrite/index.ts'
import { draw, expectFusion, opsOf } from '../support/rules.ts'

describe('matching', () => {
  test('alternatives tell which one matched, also as root', async () => {
    const seen: string[] = []
    const either = rule({
      name: 'either',
      doc: 'test',
      match: ({ op, any, either }) => either('form', { relu: op.Relu(any('x')), tanh: op.Tanh(any('y')) }),
      check: ({ form, x, y }) => {
        seen.push(`${form} ${x?.name} ${y?.name}`)
        return no('not now')
      },
      replace: ({ root }) => root,
    })
    const model = await draw(({ op, input }) => op.Tanh(op.Relu(input('in', [2]))))
    rewrite(model, [[either]])
    expect(seen).toEqual(['relu in undefined', `tanh undefined ${model.graph.firstNode!.output().name}`])
  })

  test('optional nodes, in any number', async () => {
    const skipping = rule({
      name: 'skipping',
      doc: 'test',
      match: ({ op, any, maybe }) => op.Relu(maybe(['Cast', 'Reshape'], op.Abs(any('x')))),
      check: ({ x }) => ({ rank: x.rank }),
      replace: ({ op, x, rank }) => (rank === 2 ? op.Abs(x) : no('rank', x)),
    })
    await expectFusion(await draw(({ op, input }) => op.Relu(op.Abs(input('x', [2, 3])))), skipping, 'Abs')
    const model = await draw(({ op, input }) =>
      op.Relu(op.Reshape(op.Cast(op.Abs(input('x', [2, 3])), { to: 1 }), [3, 2])),
    )
    rewrite(model, [[skipping]])
    expect(opsOf(model)).toBe('Abs')
  })

  test('dimensions are unified by name', async () => {
    const square = rule({
      name: 'square',
      doc: 'test',
      match: ({ op, any }) => op.Relu(any('x').shaped('N', 'N', '_', 4)),
      check: ({ dims }) => dims['N'] === 3 || no('N is not 3'),
      replace: ({ op, x }) => op.Abs(x),
    })
    const model = await draw(({ op, input }) => [
      op.Relu(input('a', [3, 3, 'any', 4])),
      op.Relu(input('b', [3, 2, 1, 4])),
      op.Relu(input('c', [3, 3, 1, 5])),
      op.Relu(input('d', [3, 3])),
    ])
    expect(rewrite(model, [[square]]).counts).toEqual({ square: 1 })
    expect(explain(model, [square]).map(({ reason }) => reason)).toEqual([
      '"b" has the shape [3,2,1,4], not [N,N,_,4] with N = 3',
      '"c" has the shape [3,3,1,5], not [N,N,_,4]',
      '"d" has the shape [3,3], not [N,N,_,4]',
    ])
  })

  test('attributes count their ONNX defaults; predicates give reasons', async () => {
    const plain = rule({
      name: 'plain-gemm',
      doc: 'test',
      match: ({ op, any, rest }) => op.Gemm(any('a'), any('b'), rest(), { alpha: 1, transB: 0 }),
      replace: ({ op, a, b }) => op.MatMul(a, b),
    })
    await expectFusion(await draw(({ op, input }) => op.Gemm(input('a', [2, 2]), input('b', [2, 2]))), plain, 'MatMul')
    const model = await draw(({ op, input }) => op.Gemm(input('a', [2, 2]), input('b', [2, 2]), { transB: 1 }))
    expect(rewrite(model, [[plain]]).nearMisses[0]!.reason).toBe('transB is [1], not [0]')
  })

  test('other outputs of a node, and inputs left out or given', async () => {
    const swap = rule({
      name: 'swap',
      doc: 'test',
      match: ({ op, any, absent, ifGiven }) => {
        const halves = op.Split(any('x'), ifGiven(any('sizes')), { axis: 1 })
        return op.Clip(op.Sub(halves.out(1), halves), absent(), ifGiven(any('most')))
      },
      check: ({ sizes, most }) => (!sizes && most !== undefined) || no('other inputs'),
      replace: ({ op, x }) => op.ReduceSum(x, [1]),
    })
    const model = await draw(({ op, create, input }) => {
      const [a, b] = create({ op: 'Split', inputs: [input('x', [1, 2])], attributes: { axis: 1 }, outputs: 2 })
      return op.Clip(op.Sub(b!, a!), null, 6)
    })
    expect(rewrite(model, [[swap]]).counts).toEqual({ swap: 1 })
    expect(opsOf(model)).toBe('ReduceSum')
    expect(integersFrom(model.graph.firstNode!, 'axes', 1)).toEqual([1])
  })

  test('a product or sum matches any grouping, and constants that would broaden it do not count', async () => {
    const scaled = rule({
      name: 'scaled',
      doc: 'test',
      match: ({ product, op, any, scalar }) => product(op.Abs(any('x')), any('y'), scalar('by')),
      replace: ({ op, x, y, by }) => op.Mul(op.Mul(x, y), by),
    })
    for (const [dims, count] of [
      [[], 1],
      [[1, 1], 1],
      [[1, 1, 1], 0],
    ] as const) {
      const model = await draw(({ op, input, weight }) =>
        op.Div(op.Mul(input('y', [2, 3]), op.Abs(input('x', [2, 3]))), weight(dims, { around: 4, scale: 0 })),
      )
      expect(rewrite(model, [[scaled]], { steps: 1 }).changes).toBe(count)
    }
  })

  test('several roots that share a value', async () => {
    const both = rule({
      name: 'both',
      doc: 'two MatMuls of one input -> one',
      match: ({ op, any, constant, roots }) => {
        const x = any('x')
        return roots(op.MatMul(x, constant('v')).as('a'), op.MatMul(x, constant('w')).as('b'))
      },
      replace: ({ op, create, x, v, w }) => {
        const packed = op.MatMul(x, op.Concat(v, w, { axis: 1 }))
        const [a, b] = create({ op: 'Split', inputs: [packed, null], attributes: { axis: -1 }, outputs: 2 })
        return { a: a!, b: b! }
      },
    })
    const model = await draw(
      ({ op, input, weight }) => {
        const x = op.Relu(input('x', ['B', 4]))
        return [op.Neg(op.MatMul(x, weight([4, 4]))), op.MatMul(x, weight([4, 4])), op.Abs(x)]
      },
      { opset: 13 },
    )
    await expectFusion(model, both, 'Abs, Concat, MatMul, Neg, Relu, Split')
  })
})
