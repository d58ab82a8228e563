import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { int } from '../../../../src/graph/attributes.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { tensorType } from '../../../../src/graph/types.ts'
import type { WeightOptions } from '../../../../src/passes/quantize/weights/index.ts'
import { chromiumPath, launchChromium, serve } from '../../../support/chromium.ts'
import { buildModel, bytesOf, copyOf, runModel } from '../../../support/models.ts'
import { noise } from '../../../support/rules.ts'
import { quantizeWeights } from '../../../support/weights.ts'

const ortFolder = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'))

const RECIPES: Readonly<Record<string, Partial<WeightOptions>>> = {
  default: {},
  symmetric: { symmetric: true, scaleType: 'float32', mixedBits: false },
  '8 bits': { bits: 8 },
  'blocks of 16': { blockSize: 16, mixedBits: false },
}

/** A table that is read by rows and, transposed, multiplied by, and another product in between. */
function draw(): Model {
  return buildModel(17, (graph, input) => {
    const tensor = (name: string, dims: readonly number[], seed: number) =>
      graph.addInitializer(name, Tensor.float32(dims, noise(dims[0]! * dims[1]!, seed)))
    const table = tensor('table', [256, 64], 1)
    const rows = graph.insert({ op: 'Gather', inputs: [table, input('ids', [6], 'int64')] }).output()
    const inner = graph.insert({ op: 'MatMul', inputs: [rows, tensor('w', [64, 64], 2)] }).output()
    const types = [tensorType('float32', [6, 256])]
    const attributes = { transB: int(1) }
    return [graph.insert({ op: 'Gemm', inputs: [inner, table], attributes, outputs: ['y0'], types }).output()]
  })
}

const ids = [0, 5, 255, 7, 7, 2]

describe.skipIf(!chromiumPath)('quantized weights in a browser', () => {
  test.each(['wasm', 'webgpu'])('%s gives what Node gives', async (device) => {
    const models = new Map<string, Uint8Array>()
    const expected = new Map<string, number[]>()
    for (const [recipe, options] of Object.entries(RECIPES)) {
      const model = draw()
      await quantizeWeights(model, { ...options, device })
      models.set(`/${encodeURIComponent(recipe)}.onnx`, bytesOf(model))
      expected.set(recipe, (await runModel(copyOf(model), { ids: Tensor.int64(ids) }))['y0']!.toNumbers())
    }
    const files = new Set(readdirSync(ortFolder))
    const { origin, close } = await serve((path) => {
      if (path === '/') return { body: '<!doctype html>', type: 'text/html' }
      const model = models.get(path)
      if (model) return { body: model, type: 'application/octet-stream' }
      const name = path.slice('/ort/'.length)
      if (!files.has(name)) return undefined
      return {
        body: readFileSync(join(ortFolder, name)),
        type: extname(name) === '.wasm' ? 'application/wasm' : 'text/javascript',
      }
    })
    const browser = await launchChromium({ webgpu: device === 'webgpu' })
    try {
      const page = await browser.newPage()
      await page.goto(origin)
      for (const [recipe, wanted] of expected) {
        const program = `(async () => {
          const ort = await import('/ort/ort.${device === 'webgpu' ? 'webgpu' : 'wasm'}.min.mjs')
          ort.env.wasm.wasmPaths = '/ort/'
          ort.env.wasm.numThreads = 1
          const session = await ort.InferenceSession.create('/${encodeURIComponent(recipe)}.onnx', { executionProviders: ['${device}'] })
          const { y0 } = await session.run({ ids: new ort.Tensor('int64', BigInt64Array.from([${ids}].map(BigInt))) })
          return [...y0.data]
        })()`
        const actual = (await page.evaluate(program)) as number[]
        const scale = Math.max(...wanted.map(Math.abs))
        const worst = Math.max(...actual.map((value, i) => Math.abs(value - wanted[i]!) / scale))
        expect.soft(actual.length, recipe).toBe(wanted.length)
        expect.soft(worst, recipe).toBeLessThan(1e-3)
      }
    } finally {
      await browser.close()
      await close()
    }
  })
})
