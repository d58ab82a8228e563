import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { run as runFuse } from '../../../src/passes/fuse/run.ts'
import { type Rule, rewrite, rule } from '../../../src/rewrite/index.ts'
import { groupNorm, groupNormSwish } from '../../../src/rules/diffusion/group-norm.ts'
import { legalityOf } from '../../../src/rules/legality.ts'
import { difference, passContext, runModel } from '../../support/models.ts'
import { draw, expectClose, expectRefusal, opsOf, run, type Sketch } from '../../support/rules.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { recordedRuns } from '../../support/shared-cases.ts'

const phases = [[groupNormSwish], [groupNorm]]
const allows = legalityOf('cuda')

/** The CPU has no GroupNorm: its definition, channels last, in standard operators. */
const spelledOut: Rule = rule({
  name: 'spelled-out',
  doc: 'GroupNorm -> standard operators',
  match: ({ ms, any }) => ms.GroupNorm(any('x'), any('gamma'), any('beta')),
  replace: ({ op, node, x, gamma, beta }) => {
    const groups = node.int('groups')!
    const ones = Tensor.float32(
      [groups],
      Array.from({ length: groups }, () => 1),
    )
    const zeros = Tensor.float32(
      [groups],
      Array.from({ length: groups }, () => 0),
    )
    const first = op.Transpose(x, { perm: [0, 3, 1, 2] })
    const normal = op.InstanceNormalization(op.Reshape(first, [0, groups, -1]), ones, zeros, {
      epsilon: node.float('epsilon'),
    })
    const last = op.Transpose(op.Reshape(normal, op.Shape(first)), { perm: [0, 2, 3, 1] })
    const y = op.Add(op.Mul(last, gamma), beta)
    return node.int('activation') ? op.Mul(y, op.Sigmoid(y)) : y
  },
})

interface Choice {
  groups?: number
  channels?: number
  one?: number
  gamma?: number[]
  back?: (sketch: Sketch, x: Value) => Value | number[]
}

function norm(sketch: Sketch, choice: Choice = {}): Value {
  const { op, input, weight, constant } = sketch
  const { groups = 4, channels = 8, one = 1, gamma = [channels, 1, 1], back = ({ op }, x) => op.Shape(x) } = choice
  const x = op.Relu(input('x', ['B', channels, 'H', 5]))
  const fill = (number: number) =>
    constant(
      Tensor.float32(
        [groups],
        Array.from({ length: groups }, () => number),
      ),
    )
  const normal = op.InstanceNormalization(op.Reshape(x, [0, groups, -1]), fill(one), fill(0), { epsilon: 1e-3 })
  return op.Add(op.Mul(op.Reshape(normal, back(sketch, x)), weight(gamma, { around: 1 })), weight([channels, 1, 1]))
}

async function expectGroupNorm(model: Model, activation: number, rest: string): Promise<void> {
  const expected = await run(model)
  const { nearMisses } = rewrite(model, phases, { strict: true, allows })
  expect(opsOf(model), nearMisses.map(({ message }) => message).join('\n')).toBe(
    `${rest}2 Transpose, com.microsoft:GroupNorm`,
  )
  const node = [...model.allNodes()].find(({ opType }) => opType === 'GroupNorm')!
  expect([node.int('activation'), node.int('channels_last'), node.int('groups')]).toEqual([activation, 1, 4])
  expect(node.inputs.slice(1).map((value) => [value!.dtype, value!.shape])).toEqual([
    ['float32', [8]],
    ['float32', [8]],
  ])
  rewrite(model, [[spelledOut]], { strict: true })
  expectClose(await run(model), expected, 1e-5)
}

describe('group norm', () => {
  test('with the shape of its input', async () => {
    await expectGroupNorm(await draw((s) => norm(s)), 0, 'Relu, ')
  })

  test('with a constant shape of one open size', async () => {
    await expectGroupNorm(await draw((s) => norm(s, { back: () => [0, 8, -1, 5] })), 0, 'Relu, ')
  })

  test('and its activation', async () => {
    const model = await draw((s) => {
      const y = norm(s)
      return s.op.Mul(s.op.Sigmoid(y), y)
    })
    await expectGroupNorm(model, 1, 'Relu, ')
  })

  test('without the activation where the norm is needed too', async () => {
    const model = await draw((s) => {
      const y = norm(s)
      return [s.op.Mul(y, s.op.Sigmoid(y)), y]
    })
    await expectGroupNorm(model, 0, 'Mul, Relu, Sigmoid, ')
  })

  test.each([
    ['the groups are scaled', { one: 2 }, 'scales the groups'],
    ['the channels of a group are odd', { groups: 8 }, 'not an even number'],
    ['the scale is not per channel', { gamma: [5] }, 'one number per channel'],
    ['the shape is another', { back: () => [0, 8, 5, -1] }, 'does not go back'],
  ] as [string, Choice, string][])('not where %s', async (_, choice, reason) => {
    expectRefusal(await draw((s) => norm(s, choice)), groupNorm, reason, { allows })
  })

  test.each(['cpu', 'wasm', 'webgpu', 'webnn'])('not for %s', async (device) => {
    const model = await draw((s) => norm(s))
    expect(rewrite(model, phases, { strict: true, allows: legalityOf(device) }).changes).toBe(0)
  })
})

/** Norms stay whose groups have an odd number of channels (1 of 32, 3 of 96), which CUDA's kernel refuses, and those of rank 3. */
describe.skipIf(!hasShared)('group norm of whole models', () => {
  test.each([
    ['tiny-unet', 10, 11],
    ['tiny-vae-encoder', 6, 4],
    ['tiny-vae-decoder', 9, 5],
  ])('%s', async (name, fused, kept) => {
    const model = readModel(shared(`own/${name}.onnx`))
    const options = { fuse: 'auto', geluApproximation: false, mask: 'raw', strict: true, only: ['group-norm'] } as const
    await runFuse(model, options, passContext({ device: 'cuda' }))
    const counts = model.histogram()
    expect([counts['com.microsoft:GroupNorm'], counts['InstanceNormalization']]).toEqual([fused, kept])
    rewrite(model, [[spelledOut]], { strict: true })
    for (const { feeds, expected } of recordedRuns(`own/${name}.onnx`)) {
      const actual = await runModel(model, feeds)
      for (const [output, tensor] of Object.entries(expected))
        expect(difference(actual[output], tensor)).toBeLessThanOrEqual(1e-4)
    }
  })
})
