import { describe, expect, test } from 'vitest'
import { graph as graphAttribute } from '../../../src/graph/attributes.ts'
import { modelToProto } from '../../../src/graph/export.ts'
import { Graph } from '../../../src/graph/graph.ts'
import { readModel } from '../../../src/graph/import.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { difference } from '../../../src/measure/metrics.ts'
import { encodeToBytes } from '../../../src/onnx/encode.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import type { MixedReport } from '../../../src/passes/float16/mixed/index.ts'
import { rescale } from '../../../src/passes/float16/mixed/rescale/index.ts'
import { toHalf } from '../../support/float16.ts'
import { runModel } from '../../support/models.ts'
import { draw, expectClose, noise, opsOf, run, type Sketch } from '../../support/rules.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { readableModels, recordedRuns } from '../../support/shared-cases.ts'

/** Each makes a value beyond the half range and comes back from it. */
const OVERFLOWS: Readonly<Record<string, (sketch: Sketch) => Value>> = {
  'constants that themselves are beyond the range': ({ input, op }) =>
    op.Div(op.Mul(op.Add(op.Tanh(input('x', ['n', 8])), 1.5), 1e5), 1e5),
  'a variance that is written out': ({ input, op, weight }) => {
    const x = op.Mul(input('x', ['n', 8]), 400)
    const centred = op.Sub(x, op.ReduceMean(x, { axes: [-1] }))
    const variance = op.ReduceMean(op.Pow(centred, 2), { axes: [-1] })
    return op.Mul(op.Div(centred, op.Sqrt(op.Add(variance, 1e-5))), weight([8], { around: 1 }))
  },
  'a large input of LayerNormalization': ({ input, op, weight }) => {
    const x = op.MatMul(input('x', ['n', 8]), weight([8, 8], { scale: 6e4 }))
    return op.LayerNormalization(op.Add(x, weight([8])), weight([8], { around: 1 }), weight([8]), { axis: -1 })
  },
  'scores of attention': ({ input, op, weight }) => {
    const [q, k] = [1, 2].map((i) => op.Mul(op.Tanh(op.MatMul(input(`x${i}`, ['n', 8]), weight([8, 8]))), 300))
    return op.Softmax(op.Div(op.MatMul(q!, op.Transpose(k!, { perm: [1, 0] })), 9e4), { axis: -1 })
  },
  'a residual stream that grows, with branches': ({ input, op, weight }) => {
    const norm = (x: Value): Value =>
      op.LayerNormalization(x, weight([8], { around: 1 }), weight([8]), { axis: -1, epsilon: 1e-5 })
    let x = op.Mul(input('x', ['n', 8]), 5e4)
    for (let layer = 0; layer < 3; layer++)
      x = op.Add(x, op.Add(op.MatMul(op.Relu(norm(x)), weight([8, 8], { scale: 2e3 })), weight([8])))
    return norm(x)
  },
  'a convolution, a maximum and a concatenation': ({ input, op, weight }) => {
    const x = op.Conv(input('x', [1, 4, 6, 6]), weight([4, 4, 3, 3], { scale: 4e4 }))
    const pooled = op.Concat(
      op.MaxPool(op.Relu(x), { kernel_shape: [2, 2] }),
      op.AveragePool(x, { kernel_shape: [2, 2] }),
      { axis: 1 },
    )
    return op.Tanh(op.Conv(pooled, weight([4, 8, 1, 1], { scale: 1e-5 })))
  },
}

describe('values beyond the half range', () => {
  test.each(Object.keys(OVERFLOWS))('%s: rescaled, nothing stays float32', async (name) => {
    const model = await draw(OVERFLOWS[name]!)
    const expected = await run(model, { n: 4 })
    const before = model.graph.nodeCount
    const { data, notes } = await toHalf(model, { precision: 'mixed', mixedCosine: 0.999 })
    const { mixed } = data as { mixed: MixedReport }
    expect(mixed.rescaled.length).toBeGreaterThan(0)
    expect([mixed.float32, mixed.weights]).toEqual([[], []])
    expect(notes.filter(({ level }) => level === 'warn')).toEqual([])
    const casts = [...model.graph.nodes()].filter(({ opType }) => opType === 'Cast').length
    expect(model.graph.nodeCount - casts).toBeLessThanOrEqual(before + 2)
    expectClose(await run(model, { n: 4 }), expected, 2e-2)
  })

  test('in float32 a rescaled model gives the same numbers', async () => {
    for (const [name, body] of Object.entries(OVERFLOWS)) {
      const model = await draw(body)
      const expected = await run(model)
      expect(rescale(model, largestOf(model, 1e6), 2 ** 10), name).toBeDefined()
      expectClose(await run(model), expected, 1e-4)
    }
  })

  test('undone, the model is what it was', async () => {
    for (const body of Object.values(OVERFLOWS)) {
      const model = await draw(body)
      const before = encodeToBytes(modelToProto(model))
      rescale(model, largestOf(model, 1e6), 2 ** 10)!.undo()
      expect(encodeToBytes(modelToProto(model))).toEqual(before)
    }
  })

  test('what asks for the number itself, or gives it to the caller, keeps its float32', async () => {
    for (const body of [
      ({ input, op }: Sketch) => op.Mul(op.Abs(input('x', ['n', 4])), 1e6),
      ({ input, op }: Sketch) => op.Log(op.Mul(op.Add(op.Abs(input('x', ['n', 4])), 1), 1e6)),
    ]) {
      const model = await draw(body)
      const { data } = await toHalf(model, { precision: 'mixed' })
      const { mixed } = data as { mixed: MixedReport }
      expect(mixed.rescaled).toEqual([])
      expect(mixed.float32.length + mixed.weights.length).toBeGreaterThan(0)
    }
  })

  test('a body that reads the value gets the number itself', async () => {
    const model = await draw(({ graph, input, op, constant }) => {
      const large = op.Mul(op.Add(op.Abs(input('x', [4])), 1), 5e4)
      const flag = constant(Tensor.from('bool', [], [1]))
      const node = graph.insert({ op: 'If', inputs: [flag], types: [large.type] })
      for (const name of ['then_branch', 'else_branch']) {
        const body = new Graph(graph.model, name, node)
        const inner = body.insert({ op: 'Identity', inputs: [large], types: [large.type] })
        body.addOutput(inner.output())
        node.attributes.set(name, graphAttribute(body))
      }
      return [op.Div(large, 5e4), op.Div(node.output(), 5e4)]
    })
    const expected = await run(model)
    await toHalf(model, { precision: 'mixed', mixedCosine: 0.999 })
    expectClose(await run(model), expected, 1e-2)
  })

  test('weights that would lose their digits are left alone: a product is added', async () => {
    const model = await draw(({ input, op, weight }) => {
      const large = op.MatMul(
        op.Add(op.Mul(input('x', ['n', 8]), 2e4), 1),
        weight([8, 8], { scale: 4e-3, around: 1e-2 }),
      )
      return op.LayerNormalization(op.Mul(large, 900), weight([8], { around: 1 }), weight([8]), { axis: -1 })
    })
    expect(opsOf(model)).toContain('MatMul')
    const expected = await run(model)
    await toHalf(model, { precision: 'mixed', mixedCosine: 0.999 })
    expectClose(await run(model), expected, 2e-2)
  })
})

describe.skipIf(!hasShared)('shared models', () => {
  const files = readableModels(['own', 'real']).filter((file) =>
    /digits-vit|tiny-(bert|clip|gpt2|llama|swin|unet|t5|whisper)|magika/.test(file),
  )
  test.each(files)('%s gives the same in float32, whatever is taken to be large', async (file) => {
    const [recorded] = recordedRuns(file)
    if (!recorded) return
    const model = readModel(shared(file))
    await createOrtService().inferTypes(model, { scalars: false })
    const values = [...model.graph.nodes()].flatMap(({ outputs }) => outputs)
    const floats = values.filter((value) => value?.dtype === 'float32' && !value.constant) as Value[]
    const random = noise(floats.length, file.length)
    const largest = new Map(floats.map((value, i) => [value, random[i]! > 0.6 ? 10 ** (5 + 4 * random[i]!) : 1]))
    rescale(model, largest, 2 ** 10)?.accept()
    const found = await runModel(model, recorded.feeds)
    for (const [name, tensor] of Object.entries(recorded.expected)) {
      if (tensor.dtype !== 'float32') continue
      const { maxRel, cosine } = difference(found[name]!, tensor, { rtol: 0, atol: 0 })
      expect([maxRel < 1e-3, cosine > 0.99999], name).toEqual([true, true])
    }
  })
})

/** As if every computed float had this magnitude, but for what the model gives. */
function largestOf(model: Model, magnitude: number): Map<Value, number> {
  const values = [...model.graph.nodes()].flatMap(({ outputs }) => outputs)
  return new Map(
    values.flatMap((value) =>
      value?.dtype === 'float32' && !value.constant && !value.isOutput ? [[value, magnitude]] : [],
    ),
  )
}
