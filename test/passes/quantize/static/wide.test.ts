import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compare } from '../../../../src/kernels/index.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { copyOf, runModel } from '../../../support/models.ts'
import { draw } from '../../../support/rules.ts'
import { quantizeStatic, samplesOf } from '../../../support/static.ts'

const WIDTH = 32

/** A product whose sum with its input has one channel that is 300 times wider than the others; then another product. */
function residual(): Promise<Model> {
  return draw(({ input, op, weight, constant }) => {
    const x = input('x', ['n', WIDTH])
    const channels = (third: number): Value =>
      constant(
        Tensor.float32(
          [WIDTH],
          Float32Array.from({ length: WIDTH }, (_, i) => (i === 3 ? third : 1)),
        ),
      )
    const sum = op.Add(op.Mul(op.MatMul(x, weight([WIDTH, WIDTH])), channels(300)), x)
    return op.MatMul(op.LayerNormalization(sum, channels(0.01)), weight([WIDTH, 8]))
  })
}

async function sqnrOf(
  options: Partial<StaticOptions>,
): Promise<{ sqnr: number; ops: Record<string, number>; codes: string[] }> {
  const { calibration, x } = samplesOf(1, WIDTH)
  const model = await residual()
  const [expected] = Object.values(await runModel(copyOf(model), { x }))
  const { notes } = await quantizeStatic(model, { calibration, allOps: true, ...options })
  const [found] = Object.values(await runModel(copyOf(model), { x }))
  return {
    sqnr: compare(expected!.float32(), found!.float32()).sqnr,
    ops: model.histogram(),
    codes: notes.map(({ code }) => code),
  }
}

describe('activations that 8 bits cannot hold', () => {
  test('operators between them stay float, products do not', async () => {
    const all = await sqnrOf({ wideActivations: 'quantize' })
    const spared = await sqnrOf({})
    expect(spared.sqnr).toBeGreaterThan(30)
    expect(spared.sqnr).toBeGreaterThan(all.sqnr + 6)
    expect(spared.codes).toContain('quantize/wide-activations')
    expect(spared.ops['QuantizeLinear']).toBe(2)
    expect(all.ops['QuantizeLinear']).toBeGreaterThan(4)
  })

  test('or get 16 bits, which products do not read', async () => {
    const { sqnr, ops } = await sqnrOf({ wideActivations: 'int16' })
    expect(sqnr).toBeGreaterThan(30)
    expect(ops['com.microsoft:QuantizeLinear']).toBeGreaterThan(4)
  })

  test('with integer operators too', async () => {
    const { sqnr, ops } = await sqnrOf({ quantFormat: 'qoperator' })
    expect(sqnr).toBeGreaterThan(30)
    expect(ops).toMatchObject({ Add: 1, LayerNormalization: 1, QLinearMatMul: 2 })
  })

  test('constants that are masks stay float: 16-bit codes of them would overflow', async () => {
    const model = await draw(({ input, op, constant }) => {
      const hidden = op.Sub(constant(Tensor.float32([1], Float32Array.of(1))), input('x', ['n', 4]))
      return op.Mul(hidden, constant(Tensor.float32([], Float32Array.of(-3.4028234663852886e38))))
    })
    const { calibration } = samplesOf(1, 4)
    await quantizeStatic(model, { calibration, allOps: true, ops: ['Mul'], activationType: 'uint16' })
    const mask = [...model.graph.nodes()].find((node) => node.is('Mul'))!.input(1)!
    expect(mask.constant?.dtype).toBe('float32')
    const x = Tensor.float32([1, 4], Float32Array.of(1, 1, 0.5, 1))
    const [found] = Object.values(await runModel(copyOf(model), { x }))
    expect([...found!.float32()].every((value) => !Number.isNaN(value))).toBe(true)
  })
})
