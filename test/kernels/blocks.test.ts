import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import {
  type BlockMethod,
  compare,
  packCodes,
  type QuantizedBlocks,
  quantizeBlocks,
  quantizeBnb4,
  roundToFloat16,
  toBfloat16,
  toFloat32,
  transpose,
} from '../../src/kernels/index.ts'
import { runNodes, unaligned, weights } from './data.ts'
import { codes4, dequantizeBlocks } from './dequantize-blocks.ts'

interface Golden {
  blocks: {
    order: 'blocks' | 'original'
    K: number
    N: number
    blockSize: number
    bits: 2 | 4 | 8
    symmetric: boolean
    codes: string
    scales: string
    zeroPoints?: string
  }[]
  bnb4: { K: number; N: number; blockSize: number; type: 'fp4' | 'nf4'; codes: string; magnitudes: string }[]
}
const golden = JSON.parse(readFileSync(new URL('./golden-blocks.json', import.meta.url), 'utf8')) as Golden

/** The weights that the golden data was made from, [K, N]: scrambled integers, cubed so that small ones are many. */
function goldenWeights(K: number, N: number, column: (n: number, w: number) => number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: K * N }, (_, i) => {
    let u = (Math.imul(i, 2654435761) + 12345) >>> 0
    u = Math.imul(u ^ (u >>> 15), 2246822519) >>> 0
    u = Math.imul(u ^ (u >>> 13), 3266489917) >>> 0
    const a = u / 2 ** 32 - 0.5
    return column(i % N, a * a * a * 0.8)
  })
}

function digest(values: ArrayBufferView | undefined): string | undefined {
  if (values === undefined) return undefined
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

test.each(golden.blocks)(
  'bit for bit as ONNX Runtime: $order $K x $N / $blockSize, $bits bits, symmetric $symmetric',
  (g) => {
    const w = goldenWeights(g.K, g.N, (n, v) => (n === 1 ? 0 : n === 2 ? Math.abs(v) : n === 3 ? -Math.abs(v) : v))
    const { blockSize, bits, symmetric, order } = g
    const signed = symmetric && order === 'original'
    const result = quantizeBlocks(
      w,
      { outer: 1, length: g.K, inner: g.N },
      { blockSize, bits, symmetric, order, signed },
    )
    const scales = result.scales.map((s) => s + 0) // a scale of -0 is one of 0
    expect({ codes: digest(result.codes), scales: digest(scales), zeroPoints: digest(result.zeroPoints) }).toEqual({
      codes: g.codes,
      scales: g.scales,
      zeroPoints: g.zeroPoints,
    })
  },
)

test.each(golden.bnb4)('bit for bit as ONNX Runtime: $type $K x $N / $blockSize', (g) => {
  const w = goldenWeights(g.K, g.N, (n, v) => (n === 1 ? 0 : v))
  const result = quantizeBnb4(w, { outer: 1, length: g.K, inner: g.N }, g.type, g.blockSize)
  expect({ codes: digest(result.codes), magnitudes: digest(result.magnitudes) }).toEqual({
    codes: g.codes,
    magnitudes: g.magnitudes,
  })
})

/** ONNX Runtime's product of the identity and the quantized weight: the weight as the runtime reads it. */
async function runtimeWeight(q: QuantizedBlocks, K: number, N: number, blockSize: number, bits: 2 | 4 | 8) {
  const identity = Float32Array.from({ length: K * K }, (_, i) => (i % (K + 1) === 0 ? 1 : 0))
  const zero = q.floatZeroPoints
    ? new Tensor('float32', q.floatZeroPoints, [N, q.blocks])
    : q.zeroPoints && new Tensor('uint8', q.zeroPoints, [N, q.zeroPoints.length / N])
  const type = { float32: 1, uint8: 2 }
  const feeds = {
    a: new Tensor('float32', identity, [K, K]),
    b: new Tensor('uint8', q.codes, [N, q.blocks, (blockSize * bits) / 8]),
    s: new Tensor('float32', q.scales, [N, q.blocks]),
    ...(zero ? { z: zero } : {}),
  }
  const inputs = Object.fromEntries(
    Object.entries(feeds).map(([name, t]) => [name, { type: type[t.type as 'float32' | 'uint8'], dims: t.dims }]),
  )
  const attributes = { K, N, bits, block_size: blockSize }
  const node = { op: 'MatMulNBits', domain: 'com.microsoft', inputs: Object.keys(feeds), outputs: ['y'], attributes }
  const y = await runNodes([node], inputs, { type: 1, dims: [K, N] }, feeds)
  return y.data as Float32Array
}

const methods = [
  { method: 'minmax' },
  { method: 'mse' },
  { method: 'k_quant' },
  { method: 'hqq' },
  { method: 'minmax', symmetric: true },
  { method: 'mse', symmetric: true },
  { method: 'k_quant', symmetric: true },
] as const

describe.each([4, 8] as const)('%d bits', (bits) => {
  // the CPU kernel takes float zero points with 2 and 4 bits only
  test.each(methods.filter(({ method }) => bits === 4 || method !== 'hqq'))(
    'MatMulNBits reads the codes as meant: %j',
    async (options) => {
      const [K, N, blockSize] = [100, 24, 32] // three blocks and a bit
      const w = weights(K * N, bits)
      const q = quantizeBlocks(w, { outer: 1, length: K, inner: N }, { bits, blockSize, ...options })
      const meant = dequantizeBlocks(q, K, N, blockSize, bits)
      expect(compare(w, meant).sqnr).toBeGreaterThan(bits === 4 ? 18 : 42)
      expect(compare(await runtimeWeight(q, K, N, blockSize, bits), meant).maxDifference).toBeLessThan(1e-6)
    },
  )
})

describe.each([2, 4, 8] as const)('%d bits', (bits) => {
  test.each([16, 32, 128])('a search errs less than the range alone, blocks of %d', (blockSize) => {
    const [K, N] = [300, 40]
    const w = weights(K * N, blockSize)
    w.forEach((v, i) => {
      if (i % 97 === 0) w[i] = v * 3 // outliers
    })
    const error = (options: { method: BlockMethod; symmetric?: boolean }) => {
      const q = quantizeBlocks(w, { outer: 1, length: K, inner: N }, { bits, blockSize, ...options })
      return compare(w, dequantizeBlocks(q, K, N, blockSize, bits)).squaresDifference
    }
    expect(error({ method: 'mse' })).toBeLessThan(error({ method: 'minmax' }) * 0.97)
    expect(error({ method: 'mse', symmetric: true })).toBeLessThan(error({ method: 'minmax', symmetric: true }) * 0.97)
    expect(error({ method: 'mse' })).toBeLessThanOrEqual(error({ method: 'k_quant' }))
    expect(error({ method: 'hqq' })).toBeLessThan(error({ method: 'minmax' }))
  })
})

test('no single grid of a dense scan does better than the search by more than 2 %', () => {
  // one block at a time against every zero point and 2000 scales
  for (let seed = 0; seed < 8; seed++) {
    const w = weights(32, seed)
    const q = quantizeBlocks(w, { outer: 1, length: 32, inner: 1 }, { bits: 4, blockSize: 32, method: 'mse' })
    const ours = compare(w, dequantizeBlocks(q, 32, 1, 32, 4)).squaresDifference
    const step = (Math.max(...w) - Math.min(...w)) / 15
    let best = Number.POSITIVE_INFINITY
    for (let zero = 0; zero < 16; zero++)
      for (let i = 0; i < 2000; i++) {
        const s = step * (0.5 + i / 2000)
        let error = 0
        for (const v of w) error += (v - (Math.max(0, Math.min(15, Math.round(v / s) + zero)) - zero) * s) ** 2
        best = Math.min(best, error)
      }
    expect(ours).toBeLessThan(best * 1.02)
  }
})

test('a layout makes no difference to the numbers: rows, columns, both orders, any float type', () => {
  const [K, N] = [300, 270] // more channels than a tile has, blocks that end inside a row
  const w = weights(K * N, 3)
  const transposed = new Float32Array(transpose(new Uint8Array(w.buffer), K, N, 4).buffer)
  for (const method of ['minmax', 'mse'] as const) {
    const options = { bits: 4, blockSize: 64, method } as const
    const columns = quantizeBlocks(w, { outer: 1, length: K, inner: N }, options)
    const rows = quantizeBlocks(unaligned(transposed), { outer: N, length: K, inner: 1 }, options)
    expect(rows).toEqual(columns)
    const wide = { dtype: 'float64', bytes: new Uint8Array(Float64Array.from(w).buffer) } as const
    expect(quantizeBlocks(wide, { outer: 1, length: K, inner: N }, options)).toEqual(columns)
    const original = quantizeBlocks(w, { outer: 1, length: K, inner: N }, { ...options, order: 'original' })
    const inOrder = codes4(original.codes, K * N)
    const inBlocks = codes4(columns.codes, N * columns.blocks * 64)
    expect(inOrder.findIndex((code, i) => code !== inBlocks[(i % N) * columns.blocks * 64 + Math.floor(i / N)])).toBe(
      -1,
    )
    expect([...original.scales]).toEqual(
      Array.from(
        { length: columns.blocks * N },
        (_, i) => columns.scales[(i % N) * columns.blocks + Math.floor(i / N)],
      ),
    )
  }
})

test('a Gather table of several matrices keeps its order', () => {
  const layout = { outer: 3, length: 40, inner: 5 }
  const w = weights(600, 4)
  const all = quantizeBlocks(w, layout, { bits: 4, blockSize: 16, order: 'original', symmetric: true, signed: true })
  for (let o = 0; o < 3; o++) {
    const one = quantizeBlocks(
      w.subarray(o * 200, (o + 1) * 200),
      { ...layout, outer: 1 },
      { bits: 4, blockSize: 16, order: 'original', symmetric: true, signed: true },
    )
    expect(all.codes.slice(o * 100, (o + 1) * 100)).toEqual(one.codes)
    expect(all.scales.slice(o * 15, (o + 1) * 15)).toEqual(one.scales)
  }
})

test('scales are values of their type before codes are made', () => {
  const w = weights(640, 6)
  for (const [scaleType, round] of [
    ['float16', roundToFloat16],
    [
      'bfloat16',
      (v: number) => toFloat32({ dtype: 'bfloat16', bytes: new Uint8Array(toBfloat16(Float32Array.of(v)).buffer) })[0]!,
    ],
  ] as const)
    for (const options of methods) {
      const q = quantizeBlocks(
        w,
        { outer: 1, length: 64, inner: 10 },
        { bits: 4, blockSize: 32, scaleType, ...options },
      )
      expect([...q.scales]).toEqual([...q.scales].map(round))
      expect(compare(w, dequantizeBlocks(q, 64, 10, 32, 4)).sqnr).toBeGreaterThan(17)
    }
})

test('one block per channel of any length in original order', () => {
  const w = weights(37 * 6, 8)
  const q = quantizeBlocks(w, { outer: 1, length: 37, inner: 6 }, { bits: 4, blockSize: 37, order: 'original' })
  expect(q).toMatchObject({ blocks: 1 })
  expect([q.codes.length, q.scales.length, q.zeroPoints!.length]).toEqual([111, 6, 3])
})

test('zeros, single values and tiny values stay finite', () => {
  const blocks = [
    new Float32Array(16),
    new Float32Array(16).fill(3),
    new Float32Array(16).fill(-1e-38),
    Float32Array.from({ length: 16 }, (_, i) => (i === 3 ? 1e30 : 0)),
  ]
  const w = Float32Array.from(blocks.flatMap((b) => [...b]))
  for (const options of methods) {
    const q = quantizeBlocks(w, { outer: 4, length: 16, inner: 1 }, { bits: 4, blockSize: 16, ...options })
    const back = dequantizeBlocks(q, 16, 4, 16, 4)
    expect(back.every(Number.isFinite)).toBe(true)
    expect(back[0]! + 0).toBe(0)
    expect(back[1]).toBeCloseTo(3, 5)
    expect(back[4 * 3 + 3]! / 1e30).toBeCloseTo(1, 5)
  }
})

test('what does not exist is refused', () => {
  const w = new Float32Array(32)
  const layout = { outer: 1, length: 32, inner: 1 }
  expect(() => quantizeBlocks(w, layout, { bits: 4, blockSize: 24 })).toThrow(RangeError)
  expect(() => quantizeBlocks(w, layout, { bits: 4, blockSize: 16, signed: true })).toThrow(RangeError)
  expect(() => quantizeBlocks(w, layout, { bits: 4, blockSize: 16, method: 'hqq', symmetric: true })).toThrow(
    RangeError,
  )
  expect(() => quantizeBlocks(w, { ...layout, inner: 2 }, { bits: 4, blockSize: 16 })).toThrow(RangeError)
  expect(() => quantizeBnb4(w, layout, 'nf4', 24)).toThrow(RangeError)
  expect(
    quantizeBlocks(new Float32Array(0), { outer: 1, length: 0, inner: 4 }, { bits: 4, blockSize: 16 }).codes,
  ).toHaveLength(0)
})

test('2-bit codes: four to a byte, the earliest lowest', () => {
  expect([...packCodes(Uint8Array.of(1, 2, 3, 0, 2), 2)]).toEqual([0b00111001, 0b10])
})
