import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { observe } from '../../../../src/passes/quantize/calibrate/observe.ts'
import { buildModel, bytesOf } from '../../../support/models.ts'

// A temporary folder of its own: other tests leave theirs in the common one while this runs.
const temporary = mkdtempSync(join(tmpdir(), 'observe-'))
vi.stubEnv('TMPDIR', temporary)
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(temporary, { recursive: true })
})

test.each([
  ['from memory', Number.POSITIVE_INFINITY, temporary],
  ['from files, which are gone afterwards', 0, temporary],
  ['from memory where no file can be written', 0, join(temporary, 'missing')],
])('values inside of a model, %s', async (_, inMemory, folder) => {
  vi.stubEnv('TMPDIR', folder)
  let inner: Value | undefined
  const model = buildModel(17, (graph, input) => {
    const x = input('x', [2])
    const one = graph.addInitializer('one', Tensor.float32([2], [1, 1]))
    inner = graph.insert({ op: 'Add', inputs: [x, one] }).output()
    return [graph.insert({ op: 'Neg', inputs: [inner] }).output()]
  })
  const before = bytesOf(model)
  const values = [model.graph.inputs[0]!, inner!, model.graph.outputs[0]!]
  const observer = await observe(model, values, { threads: 1, inMemory })
  const seen: unknown[] = []
  const samples = await observer.run(
    {
      async *open() {
        yield { x: Tensor.float32([2], [1, 2]) }
        yield { x: Tensor.float32([2], [3, 4]) }
      },
    },
    (value, tensor, sample) => seen.push([values.indexOf(value), sample, tensor.toNumbers()]),
  )
  await observer.release()
  expect(samples).toBe(2)
  expect(seen).toEqual([
    [0, 0, [1, 2]],
    [1, 0, [2, 3]],
    [2, 0, [-2, -3]],
    [0, 1, [3, 4]],
    [1, 1, [4, 5]],
    [2, 1, [-4, -5]],
  ])
  expect(readdirSync(temporary)).toEqual([])
  expect(Buffer.compare(bytesOf(model), before)).toBe(0)
})

test('a sample that the model fails at is told, and why that may be', async () => {
  const model = buildModel(17, (graph, input) => {
    const [a, b] = [input('a', ['n', 2]), input('b', ['n', 2])]
    return [graph.insert({ op: 'Add', inputs: [a, b] }).output()]
  })
  const zeros = (rows: number): Tensor => Tensor.float32([rows, 2], new Float32Array(rows * 2))
  const observer = await observe(model, [...model.graph.outputs], { threads: 1 })
  const data = {
    async *open() {
      yield { a: zeros(3), b: zeros(3) }
      yield { a: zeros(3), b: zeros(4) }
    },
  }
  await expect(observer.run(data, () => {})).rejects.toMatchObject({
    code: 'ORT_RUN_FAILED',
    message: expect.stringContaining('the model fails at sample 1 of the calibration data'),
    hint: '"n" is 3 in a and 4 in b: the model means one size by it.',
  })
  await observer.release()
})
