import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import { OnnxError } from '../../../../src/onnx/errors.ts'
import { compareQuantized, quantizeDynamic, randomTensor } from '../../../support/dynamic.ts'
import { buildModel, bytesOf, copyOf } from '../../../support/models.ts'

const model = (): Model =>
  buildModel(17, (graph, input) => {
    let x = input('x', ['n', 8])
    for (const name of ['/encoder/layer.0/dense/MatMul', '/encoder/layer.1/dense/MatMul', '/head/MatMul', 'MatMul_7'])
      x = graph
        .insert({ op: 'MatMul', inputs: [x, graph.addInitializer(`w${name}`, randomTensor([8, 8], 2))], name })
        .output()
    const table = graph.addInitializer('table', randomTensor([8, 8], 5))
    const gemm = graph.insert({ op: 'Gemm', inputs: [x, table], name: 'gemm', outputs: ['last'] })
    gemm.name = ''
    return [gemm.output()]
  })

describe('which nodes are quantized', () => {
  test.each([
    [{}, 5],
    [{ ops: ['MatMul'] }, 4],
    [{ excludeOps: ['MatMul'] }, 1],
    [{ nodes: ['/encoder/**'] }, 2],
    [{ nodes: ['/encoder/*/dense/MatMul'] }, 2],
    [{ nodes: ['**/layer.1/**'] }, 1],
    [{ nodes: ['MatMul_*', '/head/MatMul'] }, 2],
    [{ excludeNodes: ['/encoder/**'] }, 3],
    [{ nodes: ['/encoder/**'], excludeNodes: ['**/layer.0/**'] }, 1],
    [{ nodes: ['last'] }, 1],
    [{ excludeNodes: ['last'], ops: ['Gemm'] }, 0],
  ])('%j: %i', async (options, expected) => {
    const { changes, notes } = await compareQuantized(model(), { x: randomTensor([3, 8], 9) }, options)
    expect(changes).toBe(expected)
    expect(notes).toEqual([])
  })

  test('brackets and stars in a name can be written as they are', async () => {
    const odd = model()
    odd.graph.firstNode!.name = 'a[0]/b*'
    expect((await quantizeDynamic(odd, { nodes: ['a[0]/b*'] })).changes).toBe(1)
  })
})

test('everything excluded: not a byte changes', async () => {
  for (const options of [{ excludeNodes: ['**'] }, { nodes: ['none'] }, { ops: ['Conv'] }]) {
    const original = model()
    const after = copyOf(original)
    expect((await quantizeDynamic(after, options)).changes).toBe(0)
    expect(Buffer.compare(bytesOf(after), bytesOf(copyOf(original)))).toBe(0)
  }
})

test('a pattern that fits nothing is reported', async () => {
  const { notes } = await quantizeDynamic(model(), { excludeNodes: ['/enocder/**'] })
  expect(notes).toEqual([
    {
      level: 'warn',
      code: 'quantize/pattern-without-node',
      message: 'no node of the model is called "/enocder/**" (excludeNodes)',
    },
  ])
})

test('an operator that is never quantized is an error with a suggestion', async () => {
  const error = await quantizeDynamic(model(), { excludeOps: ['Matmul'] }).catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(OnnxError)
  expect((error as OnnxError).message).toContain('Did you mean MatMul?')
})
