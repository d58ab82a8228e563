import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { Tensor } from '../../src/graph/tensor.ts'
import { encodeAdapter } from '../../src/onnx/adapters/index.ts'
import { chromiumPath } from '../support/chromium.ts'
import { columns, type DoraWeights, dora, x as doraX, other, own, rows } from '../support/dora-model.ts'
import { factorsOf, inner, type LohaFactors, loha, x as lohaX } from '../support/loha-model.ts'
import { buildModel, bytesOf, runModel } from '../support/models.ts'
import { onDevPage } from './dev-page.ts'
import { load, output, scratch } from './output.ts'

const root = join(scratch, 'adapter-kinds-app')
const doraOf = (weights: DoraWeights, scale?: number) =>
  buildModel(17, (graph, input) => [
    dora(graph, input('x', ['n', rows]), '/q/', weights, scale === undefined ? {} : { scale }),
  ])
const lohaOf = (factors: LohaFactors, scale?: number) =>
  buildModel(17, (graph, input) => [
    loha(graph, input('x', ['n', inner]), 'q', factors, scale === undefined ? {} : { scale }),
  ])
const x = { dora: [...doraX.float32()], loha: [...lohaX.float32()] }
const outputOf = async (model: ReturnType<typeof buildModel>, x: Tensor) =>
  Object.values(await runModel(model, { x }))[0]!.toNumbers()

type Answers = Record<'dora' | 'loha', number[][][]>
let expected: Record<'dora' | 'loha', number[][]>

beforeAll(async () => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  cpSync(join(import.meta.dirname, 'adapters-app'), root, { recursive: true })
  renameSync(join(root, 'kinds.js'), join(root, 'main.js'))
  writeFileSync(join(root, 'dora.onnx'), bytesOf(doraOf(own)))
  writeFileSync(join(root, 'loha.onnx'), bytesOf(lohaOf(factorsOf(2, 3))))
  const write = (file: string, weights: Record<string, Tensor>) => {
    const tensors = Object.entries(weights).map(([name, tensor]) => ({
      name: `q.${name}`,
      dtype: 'float32' as const,
      dims: tensor.dims,
      data: tensor.bytes(),
    }))
    writeFileSync(join(root, file), encodeAdapter('npz', tensors).bytes)
  }
  write('dora-other.npz', {
    'lora_A.weight': other.a,
    'lora_B.weight': other.b,
    lora_magnitude_vector: other.magnitude,
  })
  write('loha-other.npz', { ...factorsOf(3, 7) })
  expected = {
    // What m is one for.
    dora: [
      await outputOf(doraOf({ ...own, magnitude: norms() }, 0), doraX),
      await outputOf(doraOf(own), doraX),
      await outputOf(doraOf(other, 1), doraX),
    ],
    loha: [
      await outputOf(lohaOf(factorsOf(2, 3), 0), lohaX),
      await outputOf(lohaOf(factorsOf(2, 3)), lohaX),
      await outputOf(lohaOf(factorsOf(3, 7), 1), lohaX),
    ],
  }
})

/** Lengths of the columns of the base's weights: magnitudes with which DoRA without branch changes nothing. */
function norms(): Tensor {
  const base = [...doraOf(own).graph.initializers].find(({ name }) => name === 'w')!.constant!.float32()
  const column = (at: number) => Array.from({ length: rows }, (_, row) => base[row * columns + at]!)
  return Tensor.float32(
    [columns],
    Array.from({ length: columns }, (_, at) => Math.hypot(...column(at))),
  )
}

function check(found: Answers): void {
  for (const kind of ['dora', 'loha'] as const) {
    expect(found[kind]).toHaveLength(2)
    for (const outputs of found[kind])
      for (const [i, wanted] of expected[kind].entries()) {
        expect(outputs[i]).toHaveLength(wanted.length)
        for (const [at, value] of wanted.entries()) expect(outputs[i]![at]).toBeCloseTo(value, 4)
      }
    const [without, own_, other] = expected[kind]
    expect(Math.abs(without![0]! - own_![0]!)).toBeGreaterThan(0.01)
    expect(Math.abs(other![0]! - own_![0]!)).toBeGreaterThan(0.01)
  }
}

describe('DoRA and LoHa, as inputs and as external data', () => {
  test('in Node', async () => {
    const folder = await output('vite', { root, entry: 'main.js' })
    const { answers } = await load<{ answers(given: typeof x): Promise<Answers> }>(folder)
    check(await answers(x))
  })

  test.skipIf(!chromiumPath).each(['wasm', 'webgpu'])('in a browser, on %s', async (target) => {
    await onDevPage(root, target, async (page) => check(await page.evaluate((given) => answers(given), x)))
  })
})

declare function answers(given: { dora: number[]; loha: number[] }): Promise<Answers>
