import { describe, expect, test } from 'vitest'
import { readModel } from '../../src/graph/import.ts'
import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import type { Value } from '../../src/graph/value.ts'
import { withRounding } from '../../src/measure/rounded.ts'
import { Versus } from '../../src/measure/versus.ts'
import { createOrtService } from '../../src/ort/service.ts'
import { run as fuse } from '../../src/passes/fuse/run.ts'
import { toHalf } from '../support/float16.ts'
import { passContext } from '../support/models.ts'
import { draw, expectClose, noise, run, type Sketch } from '../support/rules.ts'
import { hasShared, shared } from '../support/shared.ts'

type Body = (sketch: Sketch) => Value

const numbers = (dims: readonly number[], seed: number): Tensor =>
  Tensor.float32(
    dims,
    noise(
      dims.reduce((a, b) => a * b, 1),
      seed,
    ),
  )
const ones = Tensor.float32([2], [1, 1])
const zeros = Tensor.float32([2], [0, 0])
const first = { perm: [0, 3, 1, 2] }
const last = { perm: [0, 2, 3, 1] }

function grouped({ op }: Sketch, x: Value, active: boolean) {
  const image = op.Transpose(x, first)
  const normal = op.InstanceNormalization(op.Reshape(image, [0, 2, -1]), ones, zeros, { epsilon: 1e-3 })
  const y = op.Transpose(op.Reshape(normal, op.Shape(image)), last)
  const scaled = op.Add(op.Mul(y, numbers([4], 1)), numbers([4], 2))
  return active ? op.Mul(scaled, op.Sigmoid(scaled)) : scaled
}

/** What a fused operator stands for. */
const PAIRS: Readonly<Record<string, readonly [fused: Body, plain: Body]>> = {
  BiasAdd: [
    ({ ms, input }) => ms.BiasAdd(input('x', [1, 3, 4]), numbers([4], 1), input('skip', [1, 3, 4])),
    ({ op, input }) => op.Add(op.Add(input('x', [1, 3, 4]), numbers([4], 1)), input('skip', [1, 3, 4])),
  ],
  BiasSplitGelu: [
    ({ ms, input }) => ms.BiasSplitGelu(input('x', [1, 3, 8]), numbers([8], 1)),
    ({ op, ms, input }) => {
      const sum = op.Add(input('x', [1, 3, 8]), numbers([8], 1))
      return op.Mul(op.Slice(sum, [0], [4], [2]), ms.Gelu(op.Slice(sum, [4], [8], [2])))
    },
  ],
  GroupNorm: [
    ({ ms, input }) =>
      ms.GroupNorm(input('x', [1, 3, 5, 4]), numbers([4], 1), numbers([4], 2), {
        groups: 2,
        epsilon: 1e-3,
        activation: 1,
        channels_last: 1,
      }),
    (sketch) => grouped(sketch, sketch.input('x', [1, 3, 5, 4]), true),
  ],
  SkipGroupNorm: [
    ({ ms, input }) =>
      ms.SkipGroupNorm(input('x', [1, 3, 5, 4]), numbers([4], 1), numbers([4], 2), input('skip', [1, 3, 5, 4]), {
        groups: 2,
        epsilon: 1e-3,
        activation: 0,
        channels_last: 1,
      }),
    (sketch) =>
      grouped(sketch, sketch.op.Add(sketch.input('x', [1, 3, 5, 4]), sketch.input('skip', [1, 3, 5, 4])), false),
  ],
  NhwcConv: [
    ({ ms, op, input }) =>
      ms.NhwcConv(input('x', [1, 5, 5, 3]), op.Transpose(numbers([2, 3, 2, 2], 1), last), numbers([2], 2)),
    ({ op, input }) =>
      op.Transpose(
        op.Conv(op.Transpose(input('x', [1, 5, 5, 3]), first), numbers([2, 3, 2, 2], 1), numbers([2], 2)),
        last,
      ),
  ],
}

async function rounded(model: Model): Promise<Model> {
  return (await withRounding(model)) ?? model
}

describe('operators that only GPUs have are spelled out', () => {
  test.each(Object.keys(PAIRS))('%s', async (name) => {
    const [fused, plain] = PAIRS[name]!
    const model = await draw(fused)
    model.graph.outputs[0]!.type = tensorType('float32')
    const found = await run(await rounded(model))
    expect(Object.values(found)).toHaveLength(1)
    const expected = await run(await draw(plain))
    expectClose({ y: Object.values(found)[0]! }, { y: Object.values(expected)[0]! }, 1e-4)
  })

  test.skipIf(!hasShared)(
    'a denoiser fused for CUDA, in float16: all of it is converted, and it is proven',
    async () => {
      const file = shared('own/tiny-unet.onnx')
      const model = readModel(file)
      await createOrtService().inferTypes(model)
      await fuse(model, { fuse: 'auto' } as Parameters<typeof fuse>[1], passContext({ file, device: 'cuda' }))
      const { data } = await toHalf(model, { device: 'cuda', file, rangeCheck: false })
      expect(model.histogram()).toMatchObject({ 'com.microsoft:NhwcConv': expect.any(Number) })
      expect((data as { float32Ops: object }).float32Ops).not.toHaveProperty('com.microsoft:NhwcConv')
      const versus = await Versus.open(file, model, true)
      const tolerance = { rtol: 0, atol: 0 }
      const { outputs } = await versus.compare({ files: [], samples: 1, tolerance }).finally(() => versus.close())
      expect(outputs[0]!.cosine).toBeGreaterThan(0.999)
    },
  )
})
