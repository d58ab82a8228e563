import { copyFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { bench, speedupOf } from '../../../src/measure/bench/node.ts'
import { temporaryFolder } from '../../support/temporary.ts'

const file = resolve(import.meta.dirname, '../../../fixtures/digits-cnn.onnx')
const options = { files: [], samples: 1, rounds: 2, warmUp: 0 }

test('a machine that slows down for a while does not change the ratio', () => {
  const load = [1, 1, 5, 5, 1, 1, 1, 3, 1, 1]
  const ratio = speedupOf(
    load.map((x) => 4 * x),
    load.map((x) => 2 * x),
  )
  expect(ratio).toEqual({ median: 2, low: 2, high: 2 })
  // A candidate that was given up early is compared in the rounds that it ran.
  expect(speedupOf([4, 4, 400], [2, 2]).median).toBe(2)
})

test('a contender that fails is left out, and what is compared is the first that runs', async () => {
  const contender = (label: string, provider: string) => ({ label, file, options: { executionProviders: [provider] } })
  const { results, failures } = await bench(
    [contender('none', 'nonsense'), contender('a', 'cpu'), contender('b', 'cpu')],
    options,
  )
  expect(failures).toMatchObject([{ label: 'none', error: { code: 'ORT_REFUSED', place: { file } } }])
  expect(results.map(({ label, speedup }) => [label, speedup !== undefined])).toEqual([
    ['a', false],
    ['b', true],
  ])
})

test('all get the inputs of the first', async () => {
  const copy = join(temporaryFolder(), 'copy.onnx')
  copyFileSync(file, copy)
  const { results, feeds } = await bench(
    [file, copy].map((path) => ({ label: path, file: path, options: {} })),
    { ...options, sizes: { batch: 3, shapes: new Map(), dimensions: new Map() } },
  )
  const [first, second] = results.map((result) => feeds.get(result)!)
  expect(first!['image']!.dims).toEqual([3, 1, 8, 8])
  expect(second!['image']!.bytes()).toEqual(first!['image']!.bytes())
})
