import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { run as runFuse } from '../../../src/passes/fuse/run.ts'
import { type Rule, rewrite, rule } from '../../../src/rewrite/index.ts'
import { nhwcConv } from '../../../src/rules/diffusion/nhwc-conv.ts'
import { legalityOf } from '../../../src/rules/legality.ts'
import { transposeTranspose } from '../../../src/rules/shape/merge.ts'
import { difference, passContext, runModel } from '../../support/models.ts'
import { draw, expectClose, expectRefusal, opsOf, run } from '../../support/rules.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { recordedRuns } from '../../support/shared-cases.ts'

const allows = legalityOf('cuda')

/** The CPU has no NhwcConv: the same with the channels first. */
const spelledOut: Rule = rule({
  name: 'spelled-out',
  doc: 'NhwcConv -> Transposes and Conv',
  match: ({ ms, any, ifGiven }) => ms.NhwcConv(any('x'), any('weight'), ifGiven(any('bias'))),
  replace: ({ op, node, x, weight, bias }) => {
    const first = [0, 3, 1, 2]
    const inputs = [op.Transpose(x, { perm: first }), op.Transpose(weight, { perm: first }), bias]
    return op.Transpose(op.Conv(...inputs, Object.fromEntries(node.attributes)), { perm: [0, 2, 3, 1] })
  },
})

describe('nhwc-conv', () => {
  test('neighbours share no Transposes in the end', async () => {
    const model = await draw(({ op, input, weight }) => {
      const x = op.Conv(input('x', ['B', 3, 9, 'W']), weight([4, 3, 3, 2]), weight([4]), { pads: [1, 2, 1, 2] })
      return op.Conv(x, weight([5, 4, 1, 1]), { strides: [2, 1] })
    })
    const expected = await run(model, { W: 7 })
    rewrite(model, [[nhwcConv], [transposeTranspose]], { strict: true, allows })
    expect(opsOf(model)).toBe('2 Transpose, 2 com.microsoft:NhwcConv')
    expect([...model.allNodes()].find(({ opType }) => opType === 'NhwcConv')!.input(1)!.shape).toEqual([4, 3, 2, 3])
    rewrite(model, [[spelledOut]], { strict: true })
    expectClose(await run(model, { W: 7 }), expected, 1e-5)
  })

  test.each([
    ['grouped ones', [4, 2, 3, 3], { group: 2 }, 'is grouped'],
    ['uneven pads', [4, 4, 3, 3], { pads: [0, 0, 1, 1] }, 'pads one side more'],
  ] as const)('not %s', async (_, dims, attributes, reason) => {
    const model = await draw(({ op, input, weight }) => op.Conv(input('x', ['B', 4, 8, 8]), weight(dims), attributes))
    expectRefusal(model, nhwcConv, reason, { allows })
  })

  test('not of one dimension', async () => {
    const model = await draw(({ op, input, weight }) => op.Conv(input('x', ['B', 4, 8]), weight([4, 4, 3])))
    expectRefusal(model, nhwcConv, 'is no convolution of images', { allows })
  })

  test.each(['cpu', 'wasm', 'webgpu', 'webnn'])('not for %s', async (device) => {
    const model = await draw(({ op, input, weight }) => op.Conv(input('x', ['B', 4, 8, 8]), weight([4, 4, 3, 3])))
    expect(rewrite(model, [[nhwcConv]], { strict: true, allows: legalityOf(device) }).changes).toBe(0)
  })
})

describe.skipIf(!hasShared)('nhwc-conv of whole models', () => {
  test.each([
    ['tiny-unet', 'unet', 33],
    ['tiny-vae-encoder', 'vae', 13],
    ['tiny-vae-decoder', 'vae', 17],
  ] as const)('%s', async (name, fuse, convolutions) => {
    const model = readModel(shared(`own/${name}.onnx`))
    const options = { geluApproximation: false, mask: 'raw', strict: true } as const
    const choice = { only: ['nhwc-conv', 'merge'] }
    await runFuse(model, { ...options, ...choice, fuse }, passContext({ device: 'cuda' }))
    const counts = model.histogram()
    expect([counts['com.microsoft:NhwcConv'], counts['Conv']]).toEqual([convolutions, undefined])
    rewrite(model, [[spelledOut]], { strict: true })
    for (const { feeds, expected } of recordedRuns(`own/${name}.onnx`)) {
      const actual = await runModel(model, feeds)
      for (const [output, tensor] of Object.entries(expected))
        expect(difference(actual[output], tensor)).toBeLessThanOrEqual(1e-4)
    }
  })

  test('only of diffusion models, and where nothing is quantized', async () => {
    const options = { geluApproximation: false, mask: 'raw', strict: true } as const
    for (const choice of [{ fuse: 'bert' }, { fuse: 'vae', quantize: 'dynamic' }] as const) {
      const model = readModel(shared('own/tiny-vae-decoder.onnx'))
      await runFuse(model, { ...options, ...choice }, passContext({ device: 'cuda' }))
      expect(model.histogram()['com.microsoft:NhwcConv']).toBeUndefined()
    }
  })
})
