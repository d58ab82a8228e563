import { describe, expect, test } from 'vitest'
import type { Value } from '../../../src/graph/value.ts'
import { type Rule, rewrite, rule } from '../../../src/rewrite/index.ts'
import { biasAdd } from '../../../src/rules/diffusion/bias-add.ts'
import { legalityOf } from '../../../src/rules/legality.ts'
import { draw, expectClose, expectRefusal, opsOf, run, type Sketch } from '../../support/rules.ts'

const allows = legalityOf('cuda')

/** The CPU has no BiasAdd: its definition in standard operators. */
const spelledOut: Rule = rule({
  name: 'spelled-out',
  doc: 'BiasAdd -> standard operators',
  match: ({ ms, any }) => ms.BiasAdd(any('x'), any('bias'), any('skip')),
  replace: ({ op, x, bias, skip }) => op.Add(op.Add(x, bias), skip),
})

function end({ op, input, weight }: Sketch, channels = 320, skip: (string | number)[] = ['B', 'S', channels]): Value {
  const x = op.MatMul(input('x', ['B', 'S', 8]), weight([8, channels]))
  return op.Add(op.Add(weight([channels]), x), input('skip', skip))
}

describe('bias-add', () => {
  test.each(['cuda', 'webgpu', 'dml'])('for %s', async (device) => {
    const model = await draw((s) => end(s))
    const expected = await run(model)
    rewrite(model, [[biasAdd]], { strict: true, allows: legalityOf(device) })
    expect(opsOf(model)).toBe('MatMul, com.microsoft:BiasAdd')
    rewrite(model, [[spelledOut]], { strict: true })
    expectClose(await run(model), expected, 1e-6)
  })

  test.each(['cpu', 'wasm', 'webnn'])('not for %s', async (device) => {
    const model = await draw((s) => end(s))
    expect(rewrite(model, [[biasAdd]], { strict: true, allows: legalityOf(device) }).changes).toBe(0)
  })

  test('not for sizes that no kernel takes', async () => {
    expectRefusal(await draw((s) => end(s, 32)), biasAdd, 'has 32 channels', { allows })
  })

  test('not where the residual is broadcast', async () => {
    const model = await draw((s) => end(s, 320, [1, 1, 320]))
    expectRefusal(model, biasAdd, 'has not the shape of the sum', { allows })
  })

  test('not where the sum without the residual is needed too', async () => {
    const model = await draw((s) => {
      const y = end(s)
      return [y, s.op.Neg(y.producer!.input(0)!)]
    })
    expectRefusal(model, biasAdd, 'is also read by', { allows })
  })
})
