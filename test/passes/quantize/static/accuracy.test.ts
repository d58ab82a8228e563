import { describe, expect, test } from 'vitest'
import { modelToProto } from '../../../../src/graph/export.ts'
import { readModel } from '../../../../src/graph/import.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { encodeToBytes } from '../../../../src/onnx/encode.ts'
import { openSession } from '../../../../src/ort/session.ts'
import { readTensors } from '../../../support/npz.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { quantizeStatic } from '../../../support/static.ts'

/** Logits of all held-out digits, one image at a time. */
async function logits(model: Uint8Array | string): Promise<Float32Array> {
  const images = readTensors(shared('own/digits-eval.npz')).get('images')!
  const session = await openSession(model, { graphOptimizationLevel: 'all' })
  const [count, size] = [images.dims[0]!, 64 * 4]
  const results = new Float32Array(count * 10)
  for (let i = 0; i < count; i++) {
    const image = Tensor.of('float32', [1, 1, 8, 8], images.bytes().subarray(i * size, (i + 1) * size))
    const output = Object.values(await session.run({ [session.inputs[0]!.name]: image }))[0]!
    results.set(output.float32(), i * 10)
  }
  await session.release()
  return results
}

/** Mean of the token vectors of every sentence. */
async function embeddings(model: Uint8Array | string): Promise<Float32Array[]> {
  const feeds = readTensors(shared('own/minilm-eval.npz'))
  const session = await openSession(model, { graphOptimizationLevel: 'all' })
  const results = await session.run(Object.fromEntries(session.inputs.map(({ name }) => [name, feeds.get(name)!])))
  await session.release()
  const hidden = Object.values(results).find(({ dims }) => dims.length === 3)!
  const [sentences, tokens, width] = hidden.dims as [number, number, number]
  const mask = feeds.get('attention_mask')!.toNumbers()
  const values = hidden.float32()
  return Array.from({ length: sentences }, (_, i) => {
    const sum = new Float32Array(width)
    for (let token = 0; token < tokens; token++)
      if (mask[i * tokens + token]) for (let k = 0; k < width; k++) sum[k]! += values[(i * tokens + token) * width + k]!
    return sum
  })
}

const bytesOf = (model: Parameters<typeof modelToProto>[0]): Uint8Array => encodeToBytes(modelToProto(model))

describe.skipIf(!hasShared)('accuracy of the default recipe on this CPU', () => {
  test('a convolutional classifier: at least 36 dB', { timeout: 60_000 }, async () => {
    const file = shared('own/digits-cnn.onnx')
    const model = readModel(file)
    await quantizeStatic(model, { calibration: shared('own/digits-calib.npz') })
    expect(compare(await logits(file), await logits(bytesOf(model))).sqnr).toBeGreaterThan(36)
  })

  test('a vision transformer: at least 30 dB', { timeout: 60_000 }, async () => {
    const file = shared('own/digits-vit.onnx')
    const model = readModel(file)
    await quantizeStatic(model, { calibration: shared('own/digits-calib.npz') })
    expect(compare(await logits(file), await logits(bytesOf(model))).sqnr).toBeGreaterThan(30)
  })

  test.each([
    ['everything', {}, 0.99, 24e6],
    ['products of two activations too', { matmulConstOnly: false }, 0.99, 24e6],
    ['all operators', { allOps: true, matmulConstOnly: false }, 0.99, 24e6],
    ['products only', { ops: ['MatMul', 'Gemm'] }, 0.99, 60e6],
  ])('sentence embeddings, %s', { timeout: 120_000 }, async (_, options, least, size) => {
    const file = shared('own/minilm.onnx')
    const model = readModel(file)
    await quantizeStatic(model, { calibration: shared('own/minilm-calib.npz'), ...options })
    const bytes = bytesOf(model)
    expect(bytes.length).toBeLessThan(size)
    const [expected, actual] = [await embeddings(file), await embeddings(bytes)]
    const cosines = expected.map((vector, i) => compare(vector, actual[i]!).cosine)
    expect(cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length).toBeGreaterThan(least)
  })
})
