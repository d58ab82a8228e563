import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import { writeModel } from '../../../src/graph/write.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import type { PassResult } from '../../../src/passes/pass.ts'
import { type VerifyOptions, verify } from '../../../src/passes/verify/index.ts'
import { toHalf } from '../../support/float16.ts'
import { draw } from '../../support/rules.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { temporaryFolder } from '../../support/temporary.ts'

async function check(
  file: string,
  model: Model,
  options: VerifyOptions = {},
  notes: string[] = [],
  device = 'cpu',
): Promise<PassResult> {
  return verify.run(model, options, {
    ort: createOrtService(),
    file,
    device,
    threads: 1,
    note: ({ code }) => void notes.push(code),
    progress: () => {},
  })
}

const net = (factor = 1) =>
  draw(({ graph, input, op, weight }) => {
    const hidden = op.MatMul(input('x', ['n', 4]), weight([4, 4]))
    const scale = graph.addInitializer('scale', Tensor.float32([4], [factor, 1, 1, 1]))
    const scaled = graph.insert({ op: 'Mul', inputs: [hidden, scale], outputs: ['scaled'], name: 'scaling' })
    return op.Tanh(scaled.output())
  })

async function saved(): Promise<string> {
  const file = join(temporaryFolder(), 'model.onnx')
  await writeModel(await net(), file, { location: 'model.onnx_data' })
  return file
}

describe('verify', () => {
  test('an equal model passes; the differences are in the report as plain JSON', async () => {
    const file = await saved()
    const { changes, data } = await check(file, readModel(file), { verify: true })
    expect(changes).toBe(0)
    expect(data).toMatchObject({ samples: 4, inputs: 'generated', outputs: [{ maxAbs: 0, sqnr: null }] })
    expect(JSON.parse(JSON.stringify(data))).toEqual(data)
  })

  test('float16 is within 0.999 but not within 1e-7 per element', async () => {
    const file = await saved()
    const model = readModel(file)
    await toHalf(model)
    await check(file, model, { verifyCosine: 0.999 })
    await expect(check(file, model, { verifyRtol: 1e-7 })).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      what: expect.stringMatching(/elements beyond the tolerance/),
    })
  })

  test('a wrong model fails, naming the output and the first wrong layer', async () => {
    const file = await saved()
    await expect(check(file, await net(-1))).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      what: expect.stringMatching(/cosine .*, not 0.99/),
      place: { node: 'Mul scaling' },
      hint: expect.stringContaining('scaled (Mul scaling)'),
    })
  })

  test('NaN where a number should be fails whatever the bars are', async () => {
    const file = await saved()
    await expect(check(file, await net(Number.NaN), { verifyCosine: -1 })).rejects.toMatchObject({
      what: expect.stringMatching(/NaN or infinite/),
    })
  })

  test('for a GPU every result in float16 is rounded: an overflow that the CPU hides fails, with the way out', async () => {
    const make = () =>
      draw(({ graph, input, op }) => {
        const large = graph.insert({
          op: 'Mul',
          name: 'up',
          inputs: [op.Add(op.Abs(input('x', ['n', 4])), 1), graph.addInitializer('factor', Tensor.float32([], [6e4]))],
          outputs: ['large'],
        })
        large.output().type = tensorType('float32', ['n', 4])
        return op.Div(large.output(), 6e4)
      })
    const file = join(temporaryFolder(), 'model.onnx')
    await writeModel(await make(), file, { location: 'model.onnx_data' })
    const model = readModel(file)
    await toHalf(model)
    await check(file, model, { verifyCosine: 0.999 })
    await expect(check(file, model, { verifyCosine: 0.999 }, [], 'webgpu')).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      place: { node: 'Mul up' },
      hint: expect.stringMatching(/first goes wrong at large .* precision=mixed/),
    })
    const mixed = readModel(file)
    await toHalf(mixed, { precision: 'mixed', device: 'webgpu' })
    await check(file, mixed, { verifyCosine: 0.999 }, [], 'webgpu')
  })

  test('a model in bfloat16, for which the CPU has no kernels, is proven all the same', async () => {
    const file = await saved()
    const model = readModel(file)
    await toHalf(model, { precision: 'bfloat16', device: 'cuda' })
    const { data } = await check(file, model, { verifyCosine: 0.999 }, [], 'cuda')
    expect((data as { outputs: { maxAbs: number }[] }).outputs[0]!.maxAbs).toBeGreaterThan(0)
  })

  test('outputs that are random in the original itself are left out, with a warning', async () => {
    const make = () =>
      draw(({ graph, input }) => {
        const x = input('x', ['n', 64])
        const random = graph.insert({ op: 'RandomNormalLike', inputs: [x], outputs: ['noise'] })
        random.output().type = x.type
        return random.output()
      })
    const file = join(temporaryFolder(), 'model.onnx')
    await writeModel(await make(), file, { location: 'model.onnx_data' })
    const notes: string[] = []
    await check(file, await make(), {}, notes)
    expect(notes).toContain('verify/random')
  })

  test('any bar turns it on, verify=false turns it off', () => {
    expect(verify.enabled({})).toBe(false)
    expect(verify.enabled({ verifyCosine: 0.9 })).toBe(true)
    expect(verify.enabled({ verify: false, verifyCosine: 0.9 })).toBe(false)
  })

  test.skipIf(!hasShared)('inputs from a file, relative to the model; they are part of the cache key', async () => {
    const file = shared('own/digits-cnn.onnx')
    const options = { verifyInputs: ['digits-cnn-inputs.npz'] }
    expect(verify.dependencies?.(options, file)).toEqual([shared('own/digits-cnn-inputs.npz')])
    const model = readModel(file)
    await toHalf(model)
    expect((await check(file, model, options)).data).toMatchObject({ inputs: 'given' })
  })
})
