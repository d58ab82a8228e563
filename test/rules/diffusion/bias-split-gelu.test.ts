import { describe, expect, test } from 'vitest'
import type { Value } from '../../../src/graph/value.ts'
import { type Rule, rewrite, rule } from '../../../src/rewrite/index.ts'
import { gelu } from '../../../src/rules/activations/gelu.ts'
import { biasSplitGelu } from '../../../src/rules/diffusion/bias-split-gelu.ts'
import { legalityOf } from '../../../src/rules/legality.ts'
import { draw, expectClose, expectRefusal, opsOf, run, type Sketch } from '../../support/rules.ts'

const allows = legalityOf('cuda')

/** The CPU has no BiasSplitGelu: its definition in standard operators. */
const spelledOut: Rule = rule({
  name: 'spelled-out',
  doc: 'BiasSplitGelu -> standard operators',
  match: ({ ms, any }) => ms.BiasSplitGelu(any('x'), any('bias')),
  replace: ({ op, create, x, bias }) => {
    const [a, b] = create({ op: 'Split', inputs: [op.Add(x, bias)], attributes: { axis: 2 }, outputs: 2 })
    return op.Mul(a!, op.Mul(op.Mul(b!, 0.5), op.Add(op.Erf(op.Div(b!, Math.SQRT2)), 1)))
  },
})

type Halves = (sketch: Sketch, sum: Value) => (Value | null)[]

const forms: Record<string, Halves> = {
  slices: ({ op }, sum) => [op.Slice(sum, [0], [1280], [-1]), op.Slice(sum, [1280], [2560], [2], [1])],
  'slices up to any end': ({ op }, sum) => [
    op.Slice(sum, [0], [-1280], [2]),
    op.Slice(sum, [-1280], [Number.MAX_SAFE_INTEGER], [2]),
  ],
  'a split': ({ create }, sum) => create({ op: 'Split', inputs: [sum], attributes: { axis: -1 }, outputs: 2 }),
}

function geglu(sketch: Sketch, halves: Halves, width = 2560): Value {
  const { op, ms, input, weight } = sketch
  const sum = op.Add(weight([width]), input('x', ['B', 'S', width]))
  const [a, b] = halves(sketch, sum)
  return op.Mul(a!, ms.Gelu(b!))
}

describe('bias-split-gelu', () => {
  test.each(Object.entries(forms))('of %s', async (_, halves) => {
    const model = await draw((s) => geglu(s, halves))
    const expected = await run(model)
    const { nearMisses } = rewrite(model, [[biasSplitGelu]], { strict: true, allows })
    expect(opsOf(model), nearMisses.map(({ message }) => message).join('\n')).toBe('com.microsoft:BiasSplitGelu')
    rewrite(model, [[spelledOut]], { strict: true })
    expectClose(await run(model), expected, 2e-5)
  })

  test('after the Gelu in primitives was found', async () => {
    const model = await draw((s) => {
      const { op, input, weight } = s
      const [a, b] = forms['slices']!(s, op.Add(weight([2560]), input('x', ['B', 'S', 2560])))
      return op.Mul(a!, op.Mul(op.Mul(b!, op.Add(op.Erf(op.Div(b!, Math.SQRT2)), 1)), 0.5))
    })
    rewrite(model, [[gelu], [biasSplitGelu]], { strict: true, allows })
    expect(opsOf(model)).toBe('com.microsoft:BiasSplitGelu')
  })

  test('not of halves in the other order', async () => {
    const swapped: Halves = (s, sum) => forms['slices']!(s, sum).reverse()
    expectRefusal(await draw((s) => geglu(s, swapped)), biasSplitGelu, 'is not the first half', { allows })
  })

  test('not where the halves overlap', async () => {
    const overlap: Halves = ({ op }, sum) => [op.Slice(sum, [0], [1280], [2]), op.Slice(sum, [640], [1920], [2])]
    expectRefusal(await draw((s) => geglu(s, overlap)), biasSplitGelu, 'is not the second half', { allows })
  })

  test('not for widths that no kernel takes', async () => {
    const halves: Halves = ({ op }, sum) => [op.Slice(sum, [0], [128], [2]), op.Slice(sum, [128], [256], [2])]
    expectRefusal(await draw((s) => geglu(s, halves, 256)), biasSplitGelu, 'has 256 channels', { allows })
  })

  test('not for the CPU', async () => {
    const model = await draw((s) => geglu(s, forms['slices']!))
    expect(rewrite(model, [[biasSplitGelu]], { strict: true, allows: legalityOf('wasm') }).changes).toBe(0)
  })
})
