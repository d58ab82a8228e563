import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { writeModel } from '../../src/graph/write.ts'
import { estimate } from '../../src/measure/confidence.ts'
import { IsolatedOrt } from '../../src/measure/isolated.ts'
import { difference } from '../../src/measure/metrics.ts'
import { Versus } from '../../src/measure/versus.ts'
import { draw } from '../support/rules.ts'
import { temporaryFolder } from '../support/temporary.ts'

const tolerance = { rtol: 1e-3, atol: 1e-4 }
const floats = (...numbers: number[]): Tensor => Tensor.float32([numbers.length], numbers)

async function saved(model: Model): Promise<string> {
  const file = join(temporaryFolder(), 'model.onnx')
  await writeModel(model, file, { location: 'model.onnx_data' })
  return file
}

const chain = (factor: number) =>
  draw(({ graph, input, constant }) => {
    const first = graph.insert({ op: 'Exp', inputs: [input('x', ['n', 4])], outputs: ['first'], name: 'first_node' })
    const scale = constant(Tensor.float32([], [factor]), 'factor')
    const second = graph.insert({
      op: 'Mul',
      inputs: [first.output(), scale],
      outputs: ['second'],
      name: 'second_node',
    })
    return graph.insert({ op: 'Tanh', inputs: [second.output()], outputs: ['third'] }).output()
  })

describe('difference', () => {
  test('measures by hand', () => {
    const { maxAbs, maxRel, cosine, sqnr, outside } = difference(floats(1, 2.5), floats(1, 2), tolerance)
    expect([maxAbs, maxRel, outside]).toEqual([0.5, 0.25, 1])
    expect(cosine).toBeCloseTo(6 / Math.sqrt(5 * 7.25), 6)
    expect(sqnr).toBeCloseTo(10 * Math.log10(5 / 0.25), 5)
  })

  test('equal infinities agree, new ones are broken, shapes and texts must fit', () => {
    const infinite = Number.POSITIVE_INFINITY
    expect(difference(floats(infinite, 1), floats(infinite, 1), tolerance)).toMatchObject({
      outside: 0,
      broken: 0,
      maxAbs: 0,
    })
    expect(difference(floats(Number.NaN, 1), floats(0, 1), tolerance)).toMatchObject({ outside: 1, broken: 1 })
    expect(difference(floats(1), floats(1, 2), tolerance).mismatch).toBe('shape [1] instead of [2]')
    const [a, b] = [Tensor.strings([1], ['a']), Tensor.strings([1], ['b'])]
    expect(difference(a, b, tolerance).mismatch).toBe('other texts')
    expect(difference(a, a, tolerance).outside).toBe(0)
  })

  test('what stands for infinity agrees with the lowest half, and with infinity', () => {
    const of = (...numbers: number[]): Tensor => Tensor.float32([numbers.length], numbers)
    const mask = of(0, 1, -3.4028234663852886e38)
    for (const found of [of(0, 1, -65504), of(0, 1, Number.NEGATIVE_INFINITY)])
      expect(difference(found, mask, tolerance)).toMatchObject({ outside: 0, broken: 0, cosine: 1 })
    expect(difference(of(0, 1, -10000), mask, tolerance)).toMatchObject({ outside: 1 })
    expect(difference(of(0, 1, 65504), mask, tolerance)).toMatchObject({ outside: 1 })
    expect(difference(of(0, 1, Number.POSITIVE_INFINITY), of(0, 1, 1e6), tolerance)).toMatchObject({ broken: 1 })
  })

  test('halves are compared with floats; rows that the mask hides are not', () => {
    expect(difference(Tensor.from('float16', [2], [1, 2]), floats(1, 2), tolerance).outside).toBe(0)
    const [found, expected] = [Tensor.float32([1, 2, 1], [9, 1]), Tensor.float32([1, 2, 1], [1, 1])]
    expect(difference(found, expected, tolerance, [true, false]).outside).toBe(0)
    expect(difference(found, expected, tolerance, [false, true]).outside).toBe(1)
  })
})

test('a median with the ranks of its confidence interval', () => {
  const numbers = Array.from({ length: 16 }, (_, i) => i)
  expect(estimate(numbers)).toEqual({ median: 7.5, low: 4, high: 11 })
  expect(estimate([3])).toEqual({ median: 3, low: 3, high: 3 })
})

describe('two models', () => {
  test('the same model is the same; another one differs, first at the layer that changed', async () => {
    const file = await saved(await chain(0.5))
    const same = await Versus.open(file, await chain(0.5))
    const other = await Versus.open(file, await chain(0.4))
    try {
      const options = { files: [], samples: 3, tolerance, intermediates: true }
      expect(await same.compare(options)).toMatchObject({
        samples: 3,
        passed: 3,
        outputs: [{ name: 'third', outside: 0 }],
      })
      const { passed, intermediates } = await other.compare(options)
      expect(passed).toBe(0)
      expect(intermediates.map(({ name, outside }) => [name, outside > 0])).toEqual([
        ['first', false],
        ['second', true],
      ])
      expect(other.labelOf('second')).toBe('Mul second_node')
    } finally {
      same.close()
      other.close()
    }
  })

  test('a missing output and a model that does not load are errors that name the file', async () => {
    const file = await saved(await chain(1))
    const renamed = await chain(1)
    renamed.graph.outputs[0]!.name = 'other'
    const broken = await draw(({ graph, input }) => {
      graph.model.useDomain('elsewhere')
      const node = graph.insert({ op: 'Mystery', domain: 'elsewhere', inputs: [input('x', [1])] })
      return node.output()
    })
    const options = { files: [], samples: 1, tolerance }
    for (const [model, code] of [
      [renamed, 'OUTPUTS_DIFFER'],
      [await draw(({ input, op }) => op.Exp(input('z', [1]))), 'INPUTS_DIFFER'],
      [broken, 'ORT_REFUSED'],
    ] as const) {
      const versus = await Versus.open(file, model)
      await expect(versus.compare(options)).rejects.toMatchObject({ code })
      versus.close()
    }
  })

  test('outputs of bfloat16, which Node cannot read, are explained', async () => {
    const model = await draw(({ input, op }) => op.Cast(input('x', [1]), { to: 16 }))
    const ort = new IsolatedOrt()
    await expect(ort.open(await saved(model))).rejects.toMatchObject({
      code: 'ORT_REFUSED',
      hint: expect.stringContaining('bfloat16'),
    })
    ort.close()
  })

  test('when the process dies, what waits for it fails with ORT_CRASHED, and a new one starts', async () => {
    const ort = new IsolatedOrt()
    const file = await saved(await chain(1))
    const session = await ort.open(file)
    const endless = session.time({ x: Tensor.float32([1, 4], [1, 2, 3, 4]) }, 0, 1e9)
    process.kill(ort.pid!, 'SIGSEGV')
    await expect(endless).rejects.toMatchObject({ code: 'ORT_CRASHED', what: expect.stringContaining('SIGSEGV') })
    const again = await ort.open(file)
    expect(Object.keys(await again.run({ x: Tensor.float32([1, 4], [1, 2, 3, 4]) }))).toEqual(['third'])
    ort.close()
  })
})
