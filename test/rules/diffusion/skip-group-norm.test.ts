import { describe, expect, test } from 'vitest'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { type Rule, rewrite, rule } from '../../../src/rewrite/index.ts'
import { groupNorm } from '../../../src/rules/diffusion/group-norm.ts'
import { skipGroupNorm } from '../../../src/rules/diffusion/skip-group-norm.ts'
import { legalityOf } from '../../../src/rules/legality.ts'
import { draw, expectClose, expectRefusal, opsOf, run, type Sketch } from '../../support/rules.ts'

const allows = legalityOf('cuda')

/** The CPU has no SkipGroupNorm: its definition in standard operators. */
const spelledOut: Rule = rule({
  name: 'spelled-out',
  doc: 'SkipGroupNorm -> standard operators',
  match: ({ ms, any, roots }) => {
    const y = ms.SkipGroupNorm(any('x'), any('gamma'), any('beta'), any('skip'))
    return roots(y.as('y').replaced(), y.out(1).as('total').replaced())
  },
  replace: ({ op, node, x, skip, gamma, beta }) => {
    const total = op.Add(x, skip)
    return { y: normalize(op, total, gamma, beta, node.int('groups')!), total }
  },
})

const spelledOutAlone: Rule = rule({
  name: 'spelled-out-alone',
  doc: 'SkipGroupNorm without its sum -> standard operators',
  match: ({ ms, any }) => ms.SkipGroupNorm(any('x'), any('gamma'), any('beta'), any('skip')),
  replace: ({ op, node, x, skip, gamma, beta }) => normalize(op, op.Add(x, skip), gamma, beta, node.int('groups')!),
})

function filled(count: number, number: number): Tensor {
  return Tensor.float32(
    [count],
    Array.from({ length: count }, () => number),
  )
}

function normalize(op: Sketch['op'], x: Value, gamma: Value, beta: Value, groups: number): Value {
  const first = op.Transpose(x, { perm: [0, 3, 1, 2] })
  const normal = op.InstanceNormalization(op.Reshape(first, [0, groups, -1]), filled(groups, 1), filled(groups, 0))
  return op.Add(op.Mul(op.Transpose(op.Reshape(normal, op.Shape(first)), { perm: [0, 2, 3, 1] }), gamma), beta)
}

function norm({ op, input, weight }: Sketch, skip: (string | number)[]): { y: Value; sum: Value } {
  const sum = op.Add(input('skip', skip), input('x', ['B', 8, 'H', 5]))
  const normal = op.InstanceNormalization(op.Reshape(sum, [0, 4, -1]), filled(4, 1), filled(4, 0))
  const y = op.Add(op.Mul(op.Reshape(normal, op.Shape(sum)), weight([8, 1, 1])), weight([8, 1, 1]))
  return { y, sum }
}

describe('skip-group-norm', () => {
  test.each([
    ['of one shape', ['B', 8, 'H', 5]],
    ['per channel', ['B', 8, 1, 1]],
  ])('of a skip %s', async (_, skip) => {
    const model = await draw((s) => norm(s, skip).y)
    const expected = await run(model)
    rewrite(model, [[groupNorm], [skipGroupNorm]], { strict: true, allows })
    expect(opsOf(model)).toBe('3 Transpose, com.microsoft:SkipGroupNorm')
    rewrite(model, [[spelledOutAlone]], { strict: true })
    expectClose(await run(model), expected, 1e-5)
  })

  test('gives the sum where it is needed too', async () => {
    const model = await draw((s) => {
      const { y, sum } = norm(s, ['B', 8, 'H', 5])
      return [y, s.op.Neg(sum)]
    })
    const expected = await run(model)
    rewrite(model, [[groupNorm], [skipGroupNorm]], { strict: true, allows })
    expect(opsOf(model)).toBe('Neg, 4 Transpose, com.microsoft:SkipGroupNorm')
    rewrite(model, [[spelledOut]], { strict: true })
    expectClose(await run(model), expected, 1e-5)
  })

  test('not where the skip is broadcast in another way', async () => {
    const model = await draw((s) => norm(s, [1, 8, 1, 5]).y)
    rewrite(model, [[groupNorm]], { strict: true, allows })
    expectRefusal(model, skipGroupNorm, 'are not known to have one shape', { allows })
  })

  test('not for DirectML, which has GroupNorm only', async () => {
    const model = await draw((s) => norm(s, ['B', 8, 'H', 5]).y)
    rewrite(model, [[groupNorm], [skipGroupNorm]], { strict: true, allows: legalityOf('dml') })
    expect(opsOf(model)).toBe('Add, 2 Transpose, com.microsoft:GroupNorm')
  })
})
