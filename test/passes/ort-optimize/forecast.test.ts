import { mkdtempSync, readdirSync, statSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { wouldChange } from '../../../src/passes/ort-optimize/forecast.ts'
import { ortOptimize } from '../../../src/passes/ort-optimize/index.ts'
import { passContext } from '../../support/models.ts'
import { draw, type Sketch } from '../../support/rules.ts'
import { temporaryFolder } from '../../support/temporary.ts'

/** A model with 17 MB of weights. */
const large = (body: (sketch: Sketch, product: Value) => Value): Promise<Model> =>
  draw((s) => {
    const weight = s.constant(Tensor.float32([4200, 1000], new Float32Array(4_200_000).fill(0.5)), 'weight')
    return body(s, s.op.MatMul(s.input('x', ['n', 4200]), weight))
  })
const forecast = (model: Model, folder: string = temporaryFolder()): Promise<boolean> =>
  wouldChange({ model, level: 'basic', geluApproximation: false, folder, ort: passContext().ort }, new Set())

test('a large model that ONNX Runtime leaves as it is is not written, and none of its weights are', async () => {
  const model = await large(({ op }, product) => op.Relu(product))
  const folder = mkdtempSync(`${temporaryFolder()}/`)
  expect(await forecast(model, folder)).toBe(false)
  const written = readdirSync(folder).reduce((sum, name) => sum + statSync(`${folder}/${name}`).blocks * 512, 0)
  expect(written).toBeLessThan(100_000)
  expect(await ortOptimize.run(model, { optimize: 'basic', geluApproximation: false }, passContext())).toEqual({
    changes: 0,
  })
})

test('one that it would change is', async () => {
  const model = await large(({ op }, product) => op.Add(product, op.Sqrt(Tensor.float32([1], [4]))))
  expect(await forecast(model)).toBe(true)
  const { changes } = await ortOptimize.run(model, { optimize: 'basic', geluApproximation: false }, passContext())
  expect(changes).toBeGreaterThan(0)
})

test('of a small model nothing is foretold, and of one that does not load neither', async () => {
  expect(await forecast(await draw(({ op, input }) => op.Relu(input('x', [2]))))).toBe(true)
  const model = await large(({ create }, product) => create({ op: 'nowhere:Thing', inputs: [product] })[0]!)
  expect(await forecast(model)).toBe(true)
})
