import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import type { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import type { OnnxError } from '../../../../src/onnx/errors.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import type { CalibrationData } from '../../../../src/passes/quantize/calibrate/data/index.ts'
import { type CalibrateOptions, type Calibration, calibrate } from '../../../../src/passes/quantize/calibrate/index.ts'
import { threadsFor } from '../../../../src/passes/quantize/calibrate/threads.ts'
import { randomTensor } from '../../../support/static.ts'

const root = resolve(import.meta.dirname, '../../../..')
const samples = Array.from({ length: 9 }, () => randomTensor(1, 1, 8, 8))
let worker: URL

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'calibration-'))
  const outfile = join(folder, 'calibration-worker.mjs')
  const entry = join(root, 'src/passes/quantize/calibrate/worker.ts')
  await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external' })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  copyFileSync(join(root, 'src/kernels/kernels.wasm'), join(folder, 'kernels.wasm'))
  worker = pathToFileURL(outfile)
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const data = (list: readonly Tensor[]): CalibrationData => ({
  async *open() {
    for (const image of list) yield { image }
  },
})

async function calibrated(options: Partial<CalibrateOptions>, list: readonly Tensor[] = samples): Promise<Calibration> {
  const model = readModel(join(root, 'fixtures/digits-cnn.onnx'))
  await createOrtService().inferTypes(model)
  const values = [...model.graph.inputs, ...[...model.graph.nodes()].flatMap(({ outputs }) => outputs as Value[])]
  return calibrate(
    model,
    values.filter((value) => value.dtype === 'float32' && !value.constant),
    data(list),
    {
      method: 'minmax',
      masks: true,
      threads: 2,
      bins: 256,
      quantizedBins: 64,
      percentile: 99,
      symmetric: false,
      movingAverage: true,
      averageWeight: 0.3,
      levels: 255,
      ...options,
    },
  )
}

const byName = ({ ranges, statistics, samples }: Calibration): unknown => ({
  samples,
  ranges: [...ranges].map(([{ name }, range]) => [name, range]),
  statistics: [...statistics].map(([{ name }, { histogram, squares, ...rest }]) => [
    name,
    rest,
    [...squares],
    [...(histogram?.counts ?? [])],
  ]),
})

describe('other threads', () => {
  test.each(['minmax', 'mse', 'percentile', 'entropy'] as const)(
    'find what one thread finds, to the bit: %s',
    async (method) => {
      const alone = await calibrated({ method })
      expect(alone.samples).toBe(9)
      for (const aloneMs of [0, 2]) {
        let last = 0
        const progress = (fraction: number): void => {
          last = fraction
        }
        const helped = await calibrated({ method, worker, aloneMs, progress })
        expect(byName(helped)).toEqual(byName(alone))
        expect(last).toBe(1)
      }
    },
  )

  test('a sample that fails is one error', async () => {
    const wrong = [...samples, randomTensor(1, 1, 7, 8)]
    const error = await calibrated({ worker, aloneMs: 0 }, wrong).catch((error: OnnxError) => error)
    expect(error).toMatchObject({ code: 'ORT_RUN_FAILED' })
  })

  test('data that throws midway ends all of it', async () => {
    const model = readModel(join(root, 'fixtures/digits-cnn.onnx'))
    await createOrtService().inferTypes(model)
    const broken: CalibrationData = {
      async *open() {
        yield { image: samples[0]! }
        yield { image: samples[1]! }
        throw new Error('disk gone')
      },
    }
    const options = { method: 'minmax', masks: true, threads: 2, worker, aloneMs: 0 } as const
    const rest = { bins: 64, quantizedBins: 32, percentile: 99, symmetric: false, movingAverage: false, levels: 255 }
    await expect(calibrate(model, model.graph.inputs, broken, { ...options, ...rest })).rejects.toThrow('disk gone')
  })

  test('are as many as memory allows', () => {
    expect(threadsFor(1e6, 4)).toBe(4)
    expect(threadsFor(100 * 2 ** 20, 4)).toBe(2)
    expect(threadsFor(4e9, 4)).toBe(1)
  })
})
