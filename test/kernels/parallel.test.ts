import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BlockOptions, quantizeBlocks, quantizeBnb4 } from '../../src/kernels/index.ts'
import { blockPool } from '../../src/kernels/parallel.ts'
import { mergeSlices, sliceLayout } from '../../src/kernels/slices.ts'
import { weights } from './data.ts'

const path = (file: string) => fileURLToPath(new URL(`../../src/kernels/${file}`, import.meta.url))
const variants = [
  { order: 'blocks' },
  { order: 'original' },
  { order: 'original', symmetric: true, signed: true },
  { order: 'blocks', method: 'hqq' },
] as const

describe.each([2, 4, 8] as const)('%d bits', (bits) => {
  test.each(variants)('slices put together are the whole: %j', (variant) => {
    const options: BlockOptions = { bits, blockSize: 16, ...variant }
    for (const layout of [
      { outer: 1, length: 500, inner: 7 },
      { outer: 61, length: 40, inner: 1 },
      { outer: 9, length: 33, inner: 3 },
      { outer: 1, length: 500, inner: 1 },
    ]) {
      const w = weights(layout.outer * layout.length * layout.inner, bits)
      const whole = quantizeBlocks(w, layout, options)
      for (const parts of [1, 2, 5, 1000]) {
        const slices = sliceLayout(layout, 16, parts)
        const results = slices.map(({ start, elements, layout }) =>
          quantizeBlocks(w.subarray(start, start + elements), layout, options),
        )
        expect(mergeSlices(results, layout, options)).toEqual(whole)
      }
      expect(sliceLayout(layout, 16, 1000).length).toBeGreaterThan(1)
    }
  })
})

describe('a pool', () => {
  let folder: string
  let worker: URL
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'kernels-'))
    const outfile = join(folder, 'kernels-worker.cjs')
    await build({
      entryPoints: [path('worker.ts')],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      define: { 'import.meta.url': 'importMetaUrl' },
      banner: { js: 'const importMetaUrl=require("node:url").pathToFileURL(__filename).href;' },
    })
    copyFileSync(path('kernels.wasm'), join(folder, 'kernels.wasm'))
    worker = pathToFileURL(outfile)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const layout = { outer: 1, length: 4096, inner: 1100 }
  const options: BlockOptions = { bits: 4, blockSize: 128, method: 'hqq' }

  test('of threads gives the same as one thread', async () => {
    const w = weights(4096 * 1100, 1)
    const pool = blockPool({ threads: 2, worker })
    const bytes = new Uint8Array(w.buffer)
    const reader = {
      byteLength: bytes.length,
      read: (target: Uint8Array, offset: number) => target.set(bytes.subarray(offset, offset + target.length)),
    }
    const [one, two] = await Promise.all([
      pool.quantizeBlocks(w, layout, options),
      pool.quantizeBlocks({ dtype: 'float32', bytes: reader }, layout, options),
    ])
    await pool.close()
    const expected = quantizeBlocks(w, layout, options)
    expect(Buffer.from(one.codes.buffer).equals(Buffer.from(expected.codes.buffer))).toBe(true)
    expect(one.scales).toEqual(expected.scales)
    expect(one.floatZeroPoints).toEqual(expected.floatZeroPoints)
    expect(Buffer.from(two.codes.buffer).equals(Buffer.from(expected.codes.buffer))).toBe(true)
  })

  test('reads weights from their file, from any place in it, and codes them for bitsandbytes too', async () => {
    const w = weights(300 * 64, 3)
    const file = join(folder, 'weights.bin')
    writeFileSync(file, Buffer.concat([Buffer.alloc(7), Buffer.from(w.buffer)]))
    const refuse = (): never => {
      throw new Error('threads read for themselves')
    }
    const bytes = { byteLength: w.byteLength, file: { path: file, offset: 7 }, read: refuse }
    const data = { dtype: 'float32', bytes } as const
    const [matrix, own] = [{ outer: 1, length: 300, inner: 64 }, { bits: 4, blockSize: 16 } as const]
    const pool = blockPool({ threads: 3, worker })
    // more tasks than threads have in hand
    const all = await Promise.all(Array.from({ length: 20 }, () => pool.quantizeBlocks(data, matrix, own)))
    const bnb4 = await pool.quantizeBnb4(data, matrix, 'nf4', 64)
    await pool.close()
    for (const found of all) expect(found).toEqual(quantizeBlocks(w, matrix, own))
    expect(bnb4).toEqual(quantizeBnb4(w, matrix, 'nf4', 64))
  })

  test('a thread that dies fails its task or leaves it to others, and nothing waits for it', async () => {
    const dead = join(folder, 'dead.cjs')
    writeFileSync(dead, 'process.exit(3)')
    const pool = blockPool({ threads: 3, worker: pathToFileURL(dead) })
    const w = weights(64 * 64, 3)
    const matrix = { outer: 1, length: 64, inner: 64 }
    const found = await pool.quantizeBlocks(w, matrix, { bits: 4, blockSize: 16 })
    expect(found).toEqual(quantizeBlocks(w, matrix, { bits: 4, blockSize: 16 }))
    await pool.close()
  })

  test.each([
    ['rows', { outer: 1, length: 40, inner: 20 }],
    ['columns', { outer: 20, length: 40, inner: 1 }],
  ])('values that are not finite are told of, wherever they are: %s', (_, matrix) => {
    const w = weights(800, 3)
    expect(quantizeBlocks(w, matrix, { bits: 4, blockSize: 16 }).finite).toBe(true)
    for (const [place, value] of [
      [0, Number.NaN],
      [799, Number.POSITIVE_INFINITY],
      [419, Number.NEGATIVE_INFINITY],
    ] as const) {
      const broken = w.slice()
      broken[place] = value
      for (const method of ['minmax', 'mse', 'hqq'] as const)
        expect(quantizeBlocks(broken, matrix, { bits: 4, blockSize: 16, method }).finite).toBe(false)
      expect(quantizeBnb4(broken, matrix, 'fp4', 16).finite).toBe(false)
      // it is not remembered
      expect(quantizeBlocks(w, matrix, { bits: 4, blockSize: 16 }).finite).toBe(true)
    }
  })

  test('passes errors on and stops when told to', async () => {
    const stop = new AbortController()
    const pool = blockPool({ threads: 2, worker, signal: stop.signal })
    const w = weights(64, 1)
    const small = { outer: 1, length: 64, inner: 1 }
    await expect(pool.quantizeBlocks(w, small, { bits: 4, blockSize: 24 })).rejects.toThrow(/multiple of 16/)
    stop.abort(new Error('enough'))
    await expect(pool.quantizeBlocks(w, small, { bits: 4, blockSize: 16 })).rejects.toThrow('enough')
    await pool.close()
  })

  test('without threads works on this one', async () => {
    const w = weights(64, 1)
    const small = { outer: 1, length: 64, inner: 1 }
    for (const settings of [{ threads: 1, worker }, { threads: 4 }, { threads: 4, worker, expectedMs: 1 }])
      expect(await blockPool(settings).quantizeBlocks(w, small, options)).toEqual(quantizeBlocks(w, small, options))
  })
})
