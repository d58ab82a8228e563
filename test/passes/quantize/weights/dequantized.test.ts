import { describe, expect, test } from 'vitest'
import { float, graph as graphAttribute, int, string } from '../../../../src/graph/attributes.ts'
import { Graph } from '../../../../src/graph/graph.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { tensorType } from '../../../../src/graph/types.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { openSession } from '../../../../src/ort/session.ts'
import { buildModel, bytesOf, copyOf, difference, runModel, signatureOf } from '../../../support/models.ts'
import { noise } from '../../../support/rules.ts'
import { quantizeWeights } from '../../../support/weights.ts'

const feeds = { x: Tensor.float32([3, 96], noise(288, 5)) }

function model(op: 'MatMul' | 'Gemm', transB = 0, opset = 21) {
  return buildModel(opset, (graph, input) => {
    const dims = transB ? [5, 96] : [96, 5]
    const w = graph.addInitializer('w', Tensor.float32(dims, noise(480, 9)))
    const attributes = op === 'Gemm' ? { transB: int(transB), alpha: float(0.5) } : {}
    const types = [tensorType('float32', [3, 5])]
    return [graph.insert({ op, inputs: [input('x', [3, 96]), w], attributes, outputs: ['y0'], types }).output()]
  })
}

describe('weights as DequantizeLinear with blocks', () => {
  test.each([true, false])('hold the codes that MatMulNBits holds (symmetric: %s)', async (symmetric) => {
    for (const bits of [4, 8] as const) {
      const [qdq, nbits] = [model('MatMul'), model('MatMul')]
      const options = { bits, symmetric, scaleType: 'float32', mixedBits: false } as const
      await quantizeWeights(qdq, { ...options, weightFormat: 'qdq' })
      await quantizeWeights(nbits, options)
      expect(qdq.histogram()).toEqual({ DequantizeLinear: 1, MatMul: 1 })
      const expected = await runModel(nbits, feeds)
      expect(difference((await runModel(qdq, feeds))['y0'], expected['y0']!)).toBeLessThan(1e-5)
    }
  })

  test.each([0, 1])('Gemm is blocked along its contraction, factors and all (transB=%i)', async (transB) => {
    const original = model('Gemm', transB)
    const quantized = copyOf(original)
    await quantizeWeights(quantized, { weightFormat: 'qdq', blockSize: 16 })
    const [dequantize] = quantized.graph.nodes()
    expect(dequantize!.int('axis')).toBe(transB)
    expect(dequantize!.input(1)!.shape).toEqual(transB ? [5, 6] : [6, 5])
    const expected = (await runModel(original, feeds))['y0']!
    expect(difference((await runModel(quantized, feeds))['y0'], expected)).toBeLessThan(0.3)
  })
})

describe('the operator set is raised', () => {
  test('and nodes are adapted to it', async () => {
    const original = buildModel(11, (graph, input) => {
      const w = graph.addInitializer('w', Tensor.float32([96, 6], noise(576, 9)))
      const product = graph.insert({ op: 'MatMul', inputs: [input('x', [3, 96]), w] }).output()
      const halves = graph.insert({ op: 'Split', inputs: [product], attributes: { axis: int(1) }, outputs: 2 })
      const axes = { kind: 'ints', value: [1] } as const
      const wide = graph.insert({ op: 'Unsqueeze', inputs: [halves.output()], attributes: { axes } }).output()
      const mean = graph
        .insert({ op: 'ReduceMean', inputs: [halves.output(1)], attributes: { axes }, outputs: ['y1'] })
        .output()
      const dropped = graph.insert({ op: 'Dropout', inputs: [wide], attributes: { ratio: float(0.5) } }).output()
      const soft = graph
        .insert({ op: 'Softmax', inputs: [dropped], attributes: { axis: int(2) }, outputs: ['y0'] })
        .output()
      soft.type = tensorType('float32', [3, 1, 3])
      mean.type = tensorType('float32', [3, 1])
      return [soft, mean]
    })
    const before = signatureOf(original)
    const expected = await runModel(copyOf(original), feeds)
    await quantizeWeights(original, { weightFormat: 'qdq', bits: 8 })
    expect([original.opset, original.irVersion]).toEqual([21, 10])
    expect(signatureOf(original)).toBe(before)
    const actual = await runModel(copyOf(original), feeds)
    for (const [name, wanted] of Object.entries(expected))
      expect(difference(actual[name], wanted), name).toBeLessThan(0.03)
  })

  test('unless an operator means something else there: then nothing changes, and that is said', async () => {
    const original = buildModel(11, (graph, input) => {
      const w = graph.addInitializer('w', Tensor.float32([96, 6], noise(576, 9)))
      const product = graph.insert({ op: 'MatMul', inputs: [input('x', [3, 96]), w] }).output()
      const scales = graph.addInitializer('scales', Tensor.float32([2], [1, 1]))
      const attributes = { coordinate_transformation_mode: string('tf_half_pixel_for_nn') }
      return [graph.insert({ op: 'Resize', inputs: [product, null, scales], attributes }).output()]
    })
    const before = bytesOf(original)
    const { changes, notes } = await quantizeWeights(original, { weightFormat: 'qdq' })
    expect(changes).toBe(0)
    expect(notes[0]!.message).toContain('Resize of opset 11 cannot be raised')
    expect(Buffer.compare(bytesOf(original), before)).toBe(0)
  })
})

describe('in bodies', () => {
  /** `if c: x·w else: x·w (or x·v)`, with `w` of the main graph. */
  const branches = (shared: boolean): Model =>
    buildModel(21, (graph, input) => {
      const x = input('x', [3, 96])
      const weight = (name: string): Value => graph.addInitializer(name, Tensor.float32([96, 8], noise(768, 9)))
      const w = weight('w')
      const condition = graph.addInitializer('c', Tensor.from('bool', [], [1]))
      const node = graph.insert({ op: 'If', inputs: [condition], outputs: ['y0'] })
      for (const [name, b] of Object.entries({ then_branch: w, else_branch: shared ? w : weight('v') })) {
        const body = new Graph(graph.model, name, node)
        const types = [tensorType('float32', [3, 8])]
        body.addOutput(body.insert({ op: 'MatMul', inputs: [x, b], types }).output())
        node.attributes.set(name, graphAttribute(body))
      }
      return [node.output()]
    })

  test.each([false, true])('at all levels; a weight that both read is there once (%s)', async (shared) => {
    const original = branches(shared)
    const quantized = copyOf(original)
    await quantizeWeights(quantized, { weightFormat: 'qdq', bits: 8, blockSize: 16 })
    const codes = [...quantized.allGraphs()].flatMap(({ initializers }) =>
      [...initializers].filter(({ tensor }) => tensor!.dims.join() === '96,8'),
    )
    expect(codes.map(({ tensor }) => tensor!.dtype)).toEqual(shared ? ['uint8'] : ['uint8', 'uint8'])
    const expected = (await runModel(original, feeds))['y0']!
    for (const graphOptimizationLevel of ['disabled', 'basic', 'extended', 'all'] as const) {
      const session = await openSession(bytesOf(quantized), { graphOptimizationLevel })
      expect(difference((await session.run(feeds))['y0'], expected)).toBeLessThan(0.05)
      await session.release()
    }
  })
})
