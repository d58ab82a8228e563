import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createOptimizer } from '../../../../src/api.ts'
import { readModel } from '../../../../src/graph/import.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { ACCELERATOR_PRESETS } from '../../../../src/options/presets.ts'
import { run as checkLegality } from '../../../../src/passes/legality/run.ts'
import { isQuantizedOp } from '../../../../src/passes/quantize/already.ts'
import { FUSED } from '../../../../src/passes/quantize/static/fused.ts'
import { OPERATORS, OPTIONAL_OPERATORS } from '../../../../src/passes/quantize/static/operators.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { hasKernel } from '../../../../src/rules/legality/kernels.ts'
import { buildModel, copyOf, difference, passContext, runModel } from '../../../support/models.ts'
import { quantizeStatic, samplesOf, weight } from '../../../support/static.ts'
import { temporaryFolder } from '../../../support/temporary.ts'

const fixture = (name: string): string => resolve(import.meta.dirname, '../../../../fixtures', name)
const PAIRS = ['DequantizeLinear', 'QuantizeLinear']

/** Quantized operators of a model, with their domain. */
function quantizedOps(model: Model): string[] {
  const nodes = [...model.graph.allNodes()].filter(isQuantizedOp)
  return [...new Set(nodes.map(({ qualifiedType }) => qualifiedType))].sort()
}

/** A product whose results are sorted, and scaled by a Softmax. */
const sorted = (): Model =>
  buildModel(17, (graph, input) => {
    const op = (name: string, ...inputs: Value[]): Value => graph.insert({ op: name, name, inputs }).output()
    const product = op('MatMul', input('x', [4, 16]), weight(graph, 'w', 16, 8))
    const count = graph.addInitializer('count', Tensor.int64([3]))
    const top = graph.insert({ op: 'TopK', name: 'TopK', inputs: [op('Softmax', product), count], outputs: 2 })
    return [op('MatMul', top.output(), weight(graph, 'v', 3, 4)), op('LogSoftmax', product)]
  })

describe('webnn', () => {
  const { quantize: _quantize, ...options } = ACCELERATOR_PRESETS['webnn'] as Partial<StaticOptions>

  test('what is left out is what there are no kernels for, no more and no less', () => {
    const known = [...Object.keys(OPERATORS), ...OPTIONAL_OPERATORS]
    const missing = known.filter((op) => !hasKernel('webnn', op, 17) && !hasKernel('webnn', op, 20))
    for (const op of FUSED) if (!hasKernel('webnn', `com.microsoft:${op}`, 1)) missing.push(op)
    expect([...options.excludeOps!].sort()).toEqual(missing.sort())
    for (const op of PAIRS) expect(hasKernel('webnn', op, 17)).toBe(true)
  })

  test.each([
    ['uint8', 17],
    ['uint8', 21],
    ['int8', 17],
  ] as const)('pairs alone, around what has kernels: %s, opset %i', async (activationType, opset) => {
    const model = sorted()
    model.opsets.set('', opset)
    const { calibration, x } = samplesOf(4, 16)
    const before = await runModel(model, { x })
    const weightType = activationType === 'int8' ? 'int8' : options.weightType
    const result = await quantizeStatic(model, { ...options, calibration, activationType, weightType })
    expect(quantizedOps(model)).toEqual(PAIRS)
    expect(result.data).toMatchObject({ quantized: { MatMul: 2, Softmax: 1 } })
    const context = passContext({ device: 'webnn', file: import.meta.filename })
    expect(checkLegality(model, { legality: 'error', quantize: 'static' }, context)).toEqual({ changes: 0 })
    const top = [...model.graph.nodes()].find(({ name }) => name === 'TopK')!
    expect(top.output().users.map(({ opType }) => opType)).toEqual(['QuantizeLinear'])
    const after = await runModel(copyOf(model), { x })
    for (const [name, expected] of Object.entries(before)) expect(difference(after[name], expected)).toBeLessThan(0.1)
  })
})

test('beside another kind of quantization its operators to leave out are no error', async () => {
  const optimizer = createOptimizer({ root: temporaryFolder() })
  const output = join(temporaryFolder(), 'out.onnx')
  await optimizer.transform(fixture('digits-cnn.onnx'), { preset: ['webnn'], dtype: 'q4', output })
  await optimizer.close()
  expect(quantizedOps(readModel(output)).length).toBeGreaterThan(0)
})

test.each([
  ['webnn', PAIRS, { calibration: fixture('digits-calib.npz'), calibrationSamples: 16 }],
  ['coreml', [], {}],
] as const)('preset %s builds for its device, and the CPU runs the result', async (preset, allowed, options) => {
  const optimizer = createOptimizer({ root: temporaryFolder() })
  const output = join(temporaryFolder(), 'out.onnx')
  const { report } = await optimizer.transform(fixture('digits-cnn.onnx'), {
    preset: [preset],
    device: preset,
    output,
    ...options,
  })
  await optimizer.close()
  expect(report.notes.filter(({ code }) => code.startsWith('legality/'))).toEqual([])
  const [source, built] = [readModel(fixture('digits-cnn.onnx')), readModel(output)]
  expect(quantizedOps(built)).toEqual(allowed)
  const [input] = source.graph.inputs
  const dims = input!.shape!.map((dim) => (typeof dim === 'number' ? dim : 2))
  const count = dims.reduce((product, dim) => product * dim, 1)
  const x = Tensor.float32(
    dims,
    Float32Array.from({ length: count }, (_, i) => (i % 7) / 7),
  )
  const [before, after] = [await runModel(source, { [input!.name]: x }), await runModel(built, { [input!.name]: x })]
  // The input is no digit: values reach beyond the calibrated ranges.
  for (const [name, expected] of Object.entries(before)) expect(difference(after[name], expected)).toBeLessThan(0.3)
})
