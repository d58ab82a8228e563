import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { compare, quantizeBlocks } from '../../../../src/kernels/index.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import { chooseDamping } from '../../../../src/passes/quantize/weights/gptq/damping.ts'
import { correctionsOf } from '../../../../src/passes/quantize/weights/gptq/factor.ts'
import { openProducts } from '../../../../src/passes/quantize/weights/gptq/products.ts'
import { solve } from '../../../../src/passes/quantize/weights/gptq/solve.ts'
import { type WeightOptions, weightQuantization } from '../../../../src/passes/quantize/weights/index.ts'
import { copyOf, runModel } from '../../../support/models.ts'
import { readTensors } from '../../../support/npz.ts'
import { draw, noise } from '../../../support/rules.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { jsonFile } from '../../../support/static.ts'
import { quantizeWeights } from '../../../support/weights.ts'

const WIDTH = 72
const ROWS = 200

/** Rows whose channels go together: all are mixtures of a few hidden numbers, and a little noise. */
function correlated(rows: number, seed: number): Float32Array {
  const hidden = noise(rows * 6, seed)
  const mixture = noise(6 * WIDTH, 7)
  const extra = noise(rows * WIDTH, seed + 1)
  return Float32Array.from({ length: rows * WIDTH }, (_, i) => {
    const [row, channel] = [Math.floor(i / WIDTH), i % WIDTH]
    let sum = 0.1 * extra[i]!
    for (let h = 0; h < 6; h++) sum += hidden[row * 6 + h]! * mixture[h * WIDTH + channel]!
    return sum
  })
}

const product = (transposed = false): Promise<Model> =>
  draw(({ input, op, weight }) => {
    const x = input('x', ['n', WIDTH])
    if (transposed) return op.Gemm(x, weight([24, WIDTH]), weight([24]), { transB: 1 })
    return op.MatMul(x, weight([WIDTH, 24]))
  })

const calibration = (): string => jsonFile('data.jsonl', { x: { dims: [ROWS, WIDTH], data: [...correlated(ROWS, 1)] } })

/** Signal to noise ratio of the result on rows that were not calibrated on. */
async function sqnrOf(model: Model, options: Partial<WeightOptions>): Promise<number> {
  const x = Tensor.float32([ROWS, WIDTH], correlated(ROWS, 99))
  const [expected] = Object.values(await runModel(copyOf(model), { x }))
  const { notes } = await quantizeWeights(model, { mixedBits: false, ...options })
  expect(notes).toEqual([])
  const [found] = Object.values(await runModel(copyOf(model), { x }))
  return compare(expected!.float32(), found!.float32()).sqnr
}

describe('weights quantized on data', () => {
  test.each<[string, Partial<WeightOptions>, boolean]>([
    ['4 bits', {}, false],
    ['2 bits', { bits: 2, blockSize: 16 }, false],
    ['8 bits', { bits: 8 }, false],
    ['symmetric', { symmetric: true }, false],
    ['a transposed weight', {}, true],
    ['DequantizeLinear', { weightFormat: 'qdq' }, false],
    ['DequantizeLinear, transposed, symmetric', { weightFormat: 'qdq', symmetric: true }, true],
  ])('at least 6 dB less noise on new data than without: %s', async (_, options, transposed) => {
    const plain = await sqnrOf(await product(transposed), { ...options, algorithm: 'mse' })
    const found = await sqnrOf(await product(transposed), { ...options, algorithm: 'gptq', calibration: calibration() })
    expect(found).toBeGreaterThan(plain + 6)
  })

  test('channels that go alone: rounding as without data', async () => {
    const products = await openProducts(createOrtService(), 1)
    const [length, columns] = [40, 8]
    const sums = new Float32Array(length * length)
    for (let k = 0; k < length; k++) sums[k * length + k] = k === 5 ? 0 : 1 + (k % 3)
    const corrections = await correctionsOf({ sums, length }, 0.01, products)
    expect(corrections!.every((value, i) => value === (i % (length + 1) === 0 ? 1 : 0))).toBe(true)
    const weights = Float32Array.from(noise(length * columns, 3))
    const options = { bits: 4, blockSize: 16, method: 'mse' } as const
    const found = await solve(weights, columns, corrections!, options, products)
    const plain = quantizeBlocks(weights, { outer: 1, length, inner: columns }, options)
    expect(found.scales).toEqual(plain.scales)
    await products.release()
  })

  test('the triangular factor belongs to the matrix', async () => {
    const products = await openProducts(createOrtService(), 1)
    const length = 100
    const x = noise(150 * length, 5)
    const sums = new Float32Array(length * length)
    for (let r = 0; r < 150; r++)
      for (let i = 0; i < length; i++)
        for (let j = 0; j < length; j++) sums[i * length + j]! += x[r * length + i]! * x[r * length + j]!
    const corrections = (await correctionsOf({ sums, length }, 0.01, products))!
    await products.release()
    const mean = Array.from({ length }, (_, k) => sums[k * length + k]!).reduce((a, b) => a + b) / length
    const damped = (i: number, j: number): number => sums[i * length + j]! + (i === j ? 0.01 * mean : 0)
    // H = GᵀG with G = D M: what M leaves of H from the right is lower triangular with D² on its diagonal.
    const inverse = new Float64Array(length * length)
    for (let i = 0; i < length; i++) {
      inverse[i * length + i] = 1
      for (let j = 0; j < i; j++) {
        let sum = 0
        for (let k = j; k < i; k++) sum -= corrections[i * length + k]! * inverse[k * length + j]!
        inverse[i * length + j] = sum
      }
    }
    let worst = 0
    for (let i = 0; i < length; i++)
      for (let j = 0; j < i; j++) {
        let sum = 0
        for (let a = i; a < length; a++)
          for (let b = j; b < length; b++) sum += inverse[a * length + i]! * damped(a, b) * inverse[b * length + j]!
        worst = Math.max(worst, Math.abs(sum) / mean)
      }
    expect(worst).toBeLessThan(1e-4)
  })

  test('a weight that two inputs meet is quantized without data, said so', async () => {
    const model = await draw(({ input, op, weight }) => {
      const w = weight([WIDTH, WIDTH])
      return op.MatMul(op.MatMul(input('x', ['n', WIDTH]), w), w)
    })
    const { notes } = await quantizeWeights(model, { algorithm: 'gptq', calibration: calibration() })
    expect(notes.map(({ code }) => code)).toEqual(['quantize/without-data', 'quantize/without-data'])
    expect(model.histogram()['com.microsoft:MatMulNBits']).toBe(2)
  })

  test('channels of a norm balanced on data: less noise with 4 bits', async () => {
    const make = (): Promise<Model> =>
      draw(({ input, op, weight, constant }) => {
        const gamma = constant(
          Tensor.from(
            'float32',
            [WIDTH],
            noise(WIDTH, 8).map((value, i) => (i % 9 === 3 ? 30 : 1) * (1 + value / 4)),
          ),
        )
        const norm = op.LayerNormalization(input('x', ['n', WIDTH]), gamma, weight([WIDTH], { scale: 0.1 }))
        return op.MatMul(norm, weight([WIDTH, 24]))
      })
    const plain = await sqnrOf(await make(), { calibration: calibration() })
    expect(await sqnrOf(await make(), { calibration: calibration(), smoothAlpha: 0.5 })).toBeGreaterThan(plain + 1.5)
  })

  test('bad input', async () => {
    const options = { quantize: 'weights', bits: 4, algorithm: 'gptq' } as WeightOptions
    expect(() => weightQuantization.check!(options, 'cpu')).toThrow(/needs calibration data/)
    expect(() => weightQuantization.check!({ ...options, quantize: 'bnb4' }, 'cpu')).toThrow(/codes of its own/)
    expect(() => weightQuantization.check!({ ...options, algorithm: 'rtn', smoothAlpha: 0.5 }, 'cpu')).toThrow(
      /smoothAlpha needs calibration data/,
    )
    const wrong = jsonFile('data.jsonl', { y: [1, 2, 3] })
    await expect(quantizeWeights(await product(), { algorithm: 'gptq', calibration: wrong })).rejects.toThrow(
      /has no data for "x"/,
    )
  })
})

describe.skipIf(!hasShared)('trained sentence embeddings', () => {
  test('products alone: mean cosine on new sentences at least 0.992', { timeout: 180_000 }, async () => {
    const feeds = Object.fromEntries(readTensors(shared('own/minilm-eval.npz')))
    const embed = async (model: Model): Promise<Float32Array[]> => {
      const [tokens] = Object.values(await createOrtService().evaluate(model, feeds))
      const mask = feeds['attention_mask']!.toNumbers()
      const [sentences, length, width] = tokens!.dims as [number, number, number]
      const values = tokens!.float32()
      return Array.from({ length: sentences }, (_, s) => {
        const sum = new Float32Array(width)
        for (let t = 0; t < length; t++)
          if (mask[s * length + t]) for (let i = 0; i < width; i++) sum[i]! += values[(s * length + t) * width + i]!
        return sum
      })
    }
    const model = readModel(shared('own/minilm.onnx'))
    const expected = await embed(model)
    await quantizeWeights(model, {
      algorithm: 'gptq',
      embeddings: false,
      calibration: shared('own/minilm-calib.npz'),
    })
    const found = await embed(copyOf(model))
    const cosines = expected.map((vector, i) => compare(vector, found[i]!).cosine)
    expect(cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length).toBeGreaterThan(0.992)
  })
})

describe('damping', () => {
  const columns = 32
  const weights = Float32Array.from(noise(WIDTH * columns, 11))
  /** Samples of few rows each, the same hidden numbers in all, or noise of their own that dwarfs them. */
  const choose = async (samples: number, rowsOfSample: number, own: number): Promise<number> => {
    const model = await draw(({ input, op, weight }) => op.MatMul(input('x', ['n', WIDTH]), weight([WIDTH, columns])))
    const products = await openProducts(createOrtService(), 1)
    const data = {
      async *open() {
        for (let i = 0; i < samples; i++) {
          const common = correlated(rowsOfSample, 20 + i)
          const extra = noise(common.length, 500 + i)
          const x = common.map((value, k) => value * (1 - own) + 20 * own * extra[k]!)
          yield { x: Tensor.float32([rowsOfSample, WIDTH], x) }
        }
      },
    }
    const options = { bits: 4, blockSize: 16, method: 'mse' } as const
    const probe = { value: model.graph.inputs[0]!, length: WIDTH, options, weights: () => weights }
    const damping = await chooseDamping(model, [probe], data, { threads: 1 }, products)
    await products.release()
    return damping
  }

  test('with one sample the usual one', async () => expect(await choose(1, 8, 0)).toBe(0.01))
  test('with many rows that agree, little', async () => expect(await choose(40, 50, 0)).toBeLessThanOrEqual(0.1))
  test('with fewer rows than channels, which do not go together, much', async () =>
    expect(await choose(4, 8, 0.9)).toBeGreaterThanOrEqual(0.3))
})
