import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { OnnxError } from '../../../../src/onnx/errors.ts'
import { openSession } from '../../../../src/ort/session.ts'
import { cosine, PLAIN, quantizeDynamic } from '../../../support/dynamic.ts'
import { golden } from '../../../support/golden.ts'
import { bytesOf, signatureOf } from '../../../support/models.ts'
import { readTensors } from '../../../support/npz.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { readableModels, recordedRuns } from '../../../support/shared-cases.ts'

/** Lowest cosine of a float output with the recorded one, over all recorded runs. */
async function lowestCosine(bytes: Uint8Array, file: string): Promise<number> {
  const session = await openSession(bytes, { graphOptimizationLevel: 'all' })
  let lowest = 1
  for (const { feeds, expected } of recordedRuns(file)) {
    const outputs = await session.run(feeds)
    for (const [name, tensor] of Object.entries(expected)) {
      expect(outputs[name]?.dims).toEqual(tensor.dims)
      if (tensor.dtype !== 'float32' || tensor.toNumbers().some((value) => !Number.isFinite(value))) continue
      lowest = Math.min(lowest, cosine(outputs[name]!, tensor))
    }
  }
  await session.release()
  return lowest
}

/** These do not load in ONNX Runtime as they are, whatever is done to them. */
async function loads(file: string): Promise<boolean> {
  try {
    await (await openSession(shared(file), { graphOptimizationLevel: 'all' })).release()
    return true
  } catch (error) {
    if (error instanceof OnnxError) return false
    throw error
  }
}

/** Small convolutional nets whose recorded inputs are noise. The reference tool's results: 0.936 and 0.969. */
const NOISY: Readonly<Record<string, number>> = { 'real/blazeface-front.onnx': 0.98, 'real/yunet-s-320.onnx': 0.97 }

describe.skipIf(!hasShared)('models from public repositories and bug reports', () => {
  test.each(readableModels(['real', 'issues', 'fusion']))('%s', async (file) => {
    const model = readModel(shared(file))
    const signature = signatureOf(model)
    const { changes } = await quantizeDynamic(model)
    expect(signatureOf(model)).toBe(signature)
    if (changes === 0 && !(await loads(file))) return
    expect(await lowestCosine(bytesOf(model), file)).toBeGreaterThan(NOISY[file] ?? 0.995)
  })
})

describe.skipIf(!hasShared)('accuracy on the recorded inputs', () => {
  test.each(readableModels(['own']))('%s: at least that of the reference tool', async (file) => {
    const model = readModel(shared(file))
    await quantizeDynamic(model)
    const ours = await lowestCosine(bytesOf(model), file)
    const reference = golden(file.slice(4, -5))['dynamic']!['QInt8']!
    // The reference tool fails on one model.
    const theirs = reference.error ? 0.999 : Math.min(...reference.run['all']!.diff.map(({ min_cosine }) => min_cosine))
    expect(ours).toBeGreaterThanOrEqual(theirs)
  })

  test('the plain recipe gives the results of the reference tool', async () => {
    for (const name of ['tiny-bert', 'tiny-gpt2', 'digits-cnn', 'digits-vit']) {
      const model = readModel(shared(`own/${name}.onnx`))
      await quantizeDynamic(model, PLAIN)
      const { diff } = golden(name)['dynamic']!['QInt8']!.run['all']!
      const theirs = Math.min(...diff.map(({ min_cosine }) => min_cosine))
      expect(await lowestCosine(bytesOf(model), `own/${name}.onnx`)).toBeCloseTo(theirs, 4)
    }
  })
})

describe.skipIf(!hasShared)('MiniLM', () => {
  /** Mean-pooled sentence embeddings [sentences, 384]. */
  async function embeddings(model: Uint8Array | string): Promise<number[][]> {
    const feeds = Object.fromEntries(readTensors(shared('own/minilm-eval.npz')))
    const session = await openSession(model, { graphOptimizationLevel: 'all' })
    const hidden = Object.values(await session.run(feeds))[0]!
    await session.release()
    const [sentences, tokens, width] = hidden.dims as [number, number, number]
    const [values, mask] = [hidden.float32(), feeds['attention_mask']!.toNumbers()]
    return Array.from({ length: sentences }, (_, s) =>
      Array.from({ length: width }, (_, c) => {
        let sum = 0
        for (let t = 0; t < tokens; t++) sum += mask[s * tokens + t]! * values[(s * tokens + t) * width + c]!
        return sum
      }),
    )
  }

  test('embeddings keep a mean cosine of 0.996 with those of the float model, at a quarter of the size', async () => {
    const model = readModel(shared('own/minilm.onnx'))
    await quantizeDynamic(model)
    const bytes = bytesOf(model)
    expect(bytes.length).toBeLessThan(23e6)
    const [float, quantized] = [await embeddings(shared('own/minilm.onnx')), await embeddings(bytes)]
    const cosines = float.map((row, i) => cosine(Tensor.float32([384], row), Tensor.float32([384], quantized[i]!)))
    expect(cosines.reduce((sum, value) => sum + value, 0) / cosines.length).toBeGreaterThan(0.996)
    expect(Math.min(...cosines)).toBeGreaterThan(0.99)
  })

  test('ONNX Runtime fuses every product when it loads the model', async () => {
    const model = readModel(shared('own/minilm.onnx'))
    await quantizeDynamic(model)
    const folder = mkdtempSync(join(tmpdir(), 'fused-'))
    try {
      const file = join(folder, 'optimized.onnx')
      const options = { graphOptimizationLevel: 'extended', optimizedModelFilePath: file } as const
      await (await openSession(bytesOf(model), options)).release()
      const ops = readModel(file).histogram()
      expect(ops['MatMulInteger']).toBeUndefined()
      const fused = ['DynamicQuantizeMatMul', 'MatMulIntegerToFloat'].map((op) => ops[`com.microsoft:${op}`] ?? 0)
      expect(fused[0]! + fused[1]!).toBe(36)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
