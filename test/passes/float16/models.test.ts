import { existsSync } from 'node:fs'
import { globSync } from 'tinyglobby'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { difference } from '../../../src/measure/metrics.ts'
import { OnnxError } from '../../../src/onnx/errors.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { toHalf } from '../../support/float16.ts'
import { readTensors } from '../../support/npz.ts'
import { hasShared, shared, sharedDir } from '../../support/shared.ts'

const ort = createOrtService()

/** Relative tolerances of models for which it is not 5e-2, and why. */
const TOLERANCE: Readonly<Record<string, number>> = {
  // Trained weights: random ones make the errors of the other transformers larger.
  'own/minilm.onnx': 1e-2,
  // One step of its 8-bit outputs is up to 8 % of their range.
  'real/qdq-multi-consumer.onnx': 0.1,
}

/** Models whose activations leave the range of a half. */
const MIXED: readonly string[] = ['real/magika-v1.onnx']

/** A shared model in float16, or why there is none. */
async function convert(file: string, keepIoTypes: boolean): Promise<Model | OnnxError> {
  try {
    const model = readModel(shared(file))
    await toHalf(model, { keepIoTypes, precision: MIXED.includes(file) ? 'mixed' : 'float16' })
    return model
  } catch (error) {
    if (error instanceof OnnxError) return error
    throw error
  }
}

/** Feeds saved with a model; undefined where there are none. */
function feedsOf(file: string): Record<string, Tensor> | undefined {
  const own = shared(file.replace(/\.onnx$/, '-inputs.npz'))
  if (existsSync(own)) return Object.fromEntries(readTensors(own))
  const io = shared(file.replace(/\/([^/]+)\.onnx$/, '/io/$1.npz'))
  if (!existsSync(io)) return undefined
  const inputs = [...readTensors(io)].filter(([name]) => name.startsWith('in:'))
  return Object.fromEntries(inputs.map(([name, tensor]) => [name.slice(3), tensor]))
}

/** Largest difference relative to the largest expected magnitude. */
function relativeError(found: Tensor, expected: Tensor): number {
  const [a, b] = [found.toNumbers(), expected.toNumbers()]
  const scale = b.reduce((most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most), 1e-6)
  return b.reduce((most, x, i) => {
    if (Object.is(a[i], x) || a[i] === x) return most
    const error = Math.abs(a[i]! - x) / scale
    return Math.max(most, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error)
  }, 0)
}

/** The feeds in the types that the converted model takes. */
function retyped(feeds: Record<string, Tensor>, model: Model): Record<string, Tensor> {
  const types = new Map(model.graph.inputs.map(({ name, dtype }) => [name, dtype]))
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) =>
      types.get(name) === 'float16' && tensor.dtype === 'float32'
        ? [name, Tensor.from('float16', tensor.dims, tensor.toNumbers())]
        : [name, tensor],
    ),
  )
}

describe.skipIf(!hasShared)('float16 of the shared models', () => {
  const files = globSync(['own/*.onnx', 'real/*.onnx', 'issues/*.onnx', 'fusion/*.onnx'], { cwd: sharedDir }).sort()
  test.each(files)('%s', async (file) => {
    const feeds = feedsOf(file)
    let expected: Record<string, Tensor> | undefined
    try {
      const session = await ort.open(shared(file))
      expected = feeds && (await session.run(feeds))
      await session.release()
    } catch {
      // ONNX Runtime does not take the model itself: there is nothing to compare with, and nothing may crash.
      for (const keepIoTypes of [true, false])
        await expect(convert(file, keepIoTypes)).resolves.toSatisfy(
          (result) => result instanceof OnnxError || result instanceof Model,
        )
      return
    }
    for (const keepIoTypes of [true, false]) {
      const model = await convert(file, keepIoTypes)
      if (model instanceof OnnxError) throw model
      checkCasts(model)
      const session = await ort.open(model)
      if (expected && feeds) {
        const found = await session.run(retyped(feeds, model))
        for (const [name, tensor] of Object.entries(expected)) {
          if (tensor.dtype !== 'float32') continue
          const limit = TOLERANCE[file] ?? 5e-2
          expect
            .soft(relativeError(found[name]!, tensor), `${name}, keepIoTypes=${keepIoTypes}`)
            .toBeLessThanOrEqual(limit)
          if (file === 'own/minilm.onnx')
            expect(difference(found[name]!, tensor, { rtol: 0, atol: 0 }).cosine).toBeGreaterThanOrEqual(0.9999)
        }
      }
      await session.release()
    }
  })
})

/** No Cast of a Cast that the conversion could have spared, and none of a constant. */
function checkCasts(model: Model): void {
  for (const node of model.graph.allNodes()) {
    if (!node.is('Cast')) continue
    const from = node.input(0)!
    const to = node.output()
    if (from.dtype === to.dtype && to.dtype === 'float16') expect.soft(to.isOutput, node.label).toBe(true)
    const floats = [from.dtype, to.dtype].every((dtype) => dtype === 'float32' || dtype === 'float16')
    if (floats) {
      expect.soft(from.constant, `Cast ${node.label} of a constant`).toBeUndefined()
      expect.soft(from.producer?.is('Cast') && from.producer.input(0)?.dtype === to.dtype, node.label).toBeFalsy()
    }
  }
}
