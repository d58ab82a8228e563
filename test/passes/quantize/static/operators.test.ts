import { describe, expect, test } from 'vitest'
import { type Attributes, float, int, ints, string } from '../../../../src/graph/attributes.ts'
import type { Graph } from '../../../../src/graph/graph.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { buildModel, copyOf, runModel, signatureOf } from '../../../support/models.ts'
import { quantizeStatic, samplesOf, weight } from '../../../support/static.ts'

/** A model of one operator between its input `x` and its outputs. */
interface Case {
  op: string
  opset?: number
  /** Shape of `x`; default [1, 4, 6, 6]. */
  dims?: number[]
  build(graph: Graph, x: Value): Value | Value[]
  /** The operator that `qoperator` makes of it; null: it stays as it is, on floats. Default: the same on codes. */
  integer?: string | null
  /** Rounding to codes does its work. */
  gone?: boolean
  /** Least signal to noise ratio of the outputs in dB. Default 20. */
  least?: number
}

const node =
  (op: string, attributes: Attributes = {}, ...more: ((graph: Graph) => Value)[]) =>
  (graph: Graph, x: Value): Value =>
    graph.insert({ op, inputs: [x, ...more.map((make) => make(graph))], attributes }).output()

const floats =
  (name: string, ...dims: number[]) =>
  (graph: Graph): Value =>
    weight(graph, name, ...dims)
const numbers =
  (name: string, ...values: number[]) =>
  (graph: Graph): Value =>
    graph.addInitializer(name, Tensor.int64(values))
const scalar =
  (name: string, value: number) =>
  (graph: Graph): Value =>
    graph.addInitializer(name, Tensor.float32([], [value]))
const positive =
  (name: string, length: number) =>
  (graph: Graph): Value =>
    graph.addInitializer(
      name,
      Tensor.float32(
        [length],
        Array.from({ length }, (_, i) => 0.5 + i / length),
      ),
    )
const ms = (op: string): string => `com.microsoft:${op}`

const CASES: Case[] = [
  { op: 'Conv', build: node('Conv', {}, floats('w', 8, 4, 3, 3), floats('b', 8)), integer: 'QLinearConv' },
  { op: 'ConvTranspose', build: node('ConvTranspose', {}, floats('w', 4, 8, 3, 3), floats('b', 8)), integer: null },
  { op: 'Gemm', dims: [3, 8], build: node('Gemm', {}, floats('w', 8, 5), floats('b', 5)), integer: ms('QGemm') },
  {
    op: 'Gemm transposed',
    dims: [3, 8],
    build: node('Gemm', { transB: int(1), alpha: float(0.5), beta: float(2) }, floats('w', 5, 8), floats('b', 5)),
    integer: ms('QGemm'),
  },
  { op: 'MatMul', dims: [2, 3, 8], build: node('MatMul', {}, floats('w', 8, 5)), integer: 'QLinearMatMul' },
  {
    op: 'MatMul of two',
    dims: [2, 3, 4],
    build: (graph, x) =>
      graph
        .insert({
          op: 'MatMul',
          inputs: [x, graph.insert({ op: 'Transpose', inputs: [x], attributes: { perm: ints([0, 2, 1]) } }).output()],
        })
        .output(),
    integer: 'QLinearMatMul',
  },
  { op: 'Add', build: node('Add', {}, floats('c', 4, 1, 1)), integer: ms('QLinearAdd') },
  { op: 'Mul', build: node('Mul', {}, floats('c', 4, 1, 1)), integer: ms('QLinearMul') },
  { op: 'LeakyRelu', build: node('LeakyRelu', { alpha: float(0.1) }), integer: ms('QLinearLeakyRelu') },
  { op: 'Sigmoid', build: node('Sigmoid'), integer: ms('QLinearSigmoid') },
  { op: 'Softmax', dims: [2, 8], build: node('Softmax'), integer: ms('QLinearSoftmax') },
  {
    op: 'Softmax 12',
    opset: 12,
    dims: [2, 3, 8],
    build: node('Softmax', { axis: int(1) }),
    integer: ms('QLinearSoftmax'),
  },
  { op: 'AveragePool', build: node('AveragePool', { kernel_shape: ints([2, 2]) }), integer: ms('QLinearAveragePool') },
  { op: 'GlobalAveragePool', build: node('GlobalAveragePool'), integer: ms('QLinearGlobalAveragePool') },
  {
    op: 'Concat',
    build: (graph, x) =>
      graph
        .insert({ op: 'Concat', inputs: [x, weight(graph, 'c', 1, 2, 6, 6)], attributes: { axis: int(1) } })
        .output(),
    integer: ms('QLinearConcat'),
  },
  {
    op: 'Where',
    build: (graph, x) => {
      const condition = graph.addInitializer('condition', Tensor.from('bool', [6], [1, 0, 1, 0, 1, 1]))
      return graph.insert({ op: 'Where', inputs: [condition, x, weight(graph, 'c', 1, 4, 6, 6)] }).output()
    },
    integer: ms('QLinearWhere'),
  },
  {
    op: 'Relu',
    build: (graph, x) => node('Relu')(graph, node('Add', {}, floats('c', 4, 1, 1))(graph, x)),
    integer: null,
    gone: true,
  },
  {
    op: 'Clip',
    build: (graph, x) =>
      node(
        'Clip',
        {},
        scalar('low', -0.3),
        scalar('high', 0.4),
      )(graph, node('Add', {}, floats('c', 4, 1, 1))(graph, x)),
    integer: null,
    gone: true,
  },
  { op: 'MaxPool', build: node('MaxPool', { kernel_shape: ints([2, 2]) }) },
  { op: 'Reshape', build: node('Reshape', {}, numbers('shape', 4, -1)) },
  { op: 'Transpose', build: node('Transpose', { perm: ints([0, 2, 3, 1]) }) },
  { op: 'Squeeze', build: node('Squeeze', {}, numbers('axes', 0)) },
  { op: 'Squeeze 11', opset: 11, build: node('Squeeze', { axes: ints([0]) }) },
  { op: 'Unsqueeze', build: node('Unsqueeze', {}, numbers('axes', 0)) },
  { op: 'Flatten', build: node('Flatten') },
  { op: 'Slice', build: node('Slice', {}, numbers('from', 1), numbers('to', 4), numbers('axes', 2)) },
  {
    op: 'Split',
    build: (graph, x) =>
      [
        ...graph.insert({
          op: 'Split',
          inputs: [x, numbers('sizes', 1, 3)(graph)],
          attributes: { axis: int(1) },
          outputs: ['p', 'q'],
        }).outputs,
      ] as Value[],
  },
  {
    op: 'Resize',
    build: (graph, x) =>
      graph
        .insert({
          op: 'Resize',
          inputs: [x, null, graph.addInitializer('scales', Tensor.float32([4], [1, 1, 2, 2]))],
          attributes: { mode: string('nearest') },
        })
        .output(),
  },
  { op: 'Gather', build: node('Gather', { axis: int(1) }, numbers('indices', 2, 0)) },
  {
    op: 'Gather from a table',
    dims: [3],
    build: (graph, x) => {
      const ids = graph
        .insert({ op: 'Cast', inputs: [graph.insert({ op: 'Abs', inputs: [x] }).output()], attributes: { to: int(7) } })
        .output()
      return graph.insert({ op: 'Gather', inputs: [weight(graph, 'table', 10, 4), ids] }).output()
    },
  },
  {
    op: 'GatherElements',
    dims: [2, 3],
    build: (graph, x) =>
      graph
        .insert({ op: 'GatherElements', inputs: [x, graph.addInitializer('i', Tensor.int64([1, 0, 1], [1, 3]))] })
        .output(),
  },
  { op: 'Pad', build: node('Pad', {}, numbers('pads', 0, 0, 1, 1, 0, 0, 1, 1)) },
  { op: 'Pad with a value', build: node('Pad', {}, numbers('pads', 0, 0, 1, 1, 0, 0, 1, 1), scalar('fill', 0.7)) },
  { op: 'Pad reflected', build: node('Pad', { mode: string('reflect') }, numbers('pads', 0, 0, 1, 1, 0, 0, 1, 1)) },
  {
    op: 'TopK',
    dims: [2, 8],
    build: (graph, x) =>
      [...graph.insert({ op: 'TopK', inputs: [x, numbers('k', 3)(graph)], outputs: ['v', 'i'] }).outputs] as Value[],
    integer: null,
  },
  {
    op: 'ArgMax',
    dims: [2, 4],
    build: (graph, x) =>
      node('ArgMax', { axis: int(1) })(
        graph,
        node('Add', {}, (at) => at.addInitializer('c', Tensor.float32([4], [0, 5, 2, 0])))(graph, x),
      ),
  },
  {
    op: 'InstanceNormalization',
    build: node('InstanceNormalization', {}, positive('s', 4), floats('b', 4)),
    integer: null,
  },
  {
    op: 'LayerNormalization',
    dims: [2, 8],
    build: node('LayerNormalization', {}, positive('s', 8), floats('b', 8)),
    integer: null,
  },
  {
    op: 'BatchNormalization',
    build: node('BatchNormalization', {}, positive('s', 4), floats('b', 4), floats('m', 4), positive('v', 4)),
    integer: null,
  },
  {
    op: 'CumSum',
    dims: [2, 8],
    build: (graph, x) =>
      graph.insert({ op: 'CumSum', inputs: [x, graph.addInitializer('axis', Tensor.int64([1], []))] }).output(),
    integer: null,
  },
  ...[
    'Abs',
    'Cos',
    'Elu',
    'Erf',
    'Exp',
    'HardSigmoid',
    'HardSwish',
    'LogSoftmax',
    'Neg',
    'Sin',
    'Softplus',
    'Tanh',
  ].map((op): Case => ({ op, build: node(op), integer: null })),
  ...['Div', 'Max', 'Min', 'Sub'].map((op): Case => ({ op, build: node(op, {}, positive('c', 6)), integer: null })),
  { op: 'PRelu', build: node('PRelu', {}, floats('slope', 4, 1, 1)), integer: null },
  { op: 'Gelu', opset: 20, build: node('Gelu'), integer: null },
  {
    op: 'Sqrt',
    build: (graph, x) =>
      graph.insert({ op: 'Sqrt', inputs: [graph.insert({ op: 'Sigmoid', inputs: [x] }).output()] }).output(),
    integer: null,
  },
  { op: 'Pow', build: node('Pow', {}, scalar('two', 2)), integer: null },
  { op: 'Expand', dims: [1, 4], build: node('Expand', {}, numbers('shape', 3, 4)), integer: null },
  { op: 'ReduceMean', build: node('ReduceMean', { axes: ints([2, 3]) }), integer: null },
  { op: 'ReduceMax', build: node('ReduceMax', { axes: ints([2, 3]) }), integer: null },
  { op: 'ReduceSum', build: node('ReduceSum', {}, numbers('axes', 2, 3)), integer: null },
]

const modelOf = ({ opset = 17, dims = [1, 4, 6, 6], build }: Case): Model =>
  buildModel(opset, (graph, input) => [build(graph, input('x', dims))].flat())

/** Every operator is asked for, alone: what it reads and gives is quantized. */
const ALONE: Partial<StaticOptions> = {
  allOps: true,
  forceInputs: true,
  sparePairs: false,
  matmulConstOnly: false,
  smoothNorms: false,
}

async function quantized(at: Case, options: Partial<StaticOptions>): Promise<{ model: Model; worst: number }> {
  const model = modelOf(at)
  const { calibration, x } = samplesOf(...(at.dims ?? [1, 4, 6, 6]))
  const before = await runModel(model, { x })
  await createOrtService().inferTypes(model)
  const signature = signatureOf(model)
  const ops = [...new Set([...model.graph.nodes()].map(({ opType }) => opType))].filter((op) => op !== 'Cast')
  await quantizeStatic(model, { ...ALONE, calibration, ops, ...options })
  expect(signatureOf(model)).toBe(signature)
  const session = await createOrtService().open(copyOf(model), { graphOptimizationLevel: 'all' })
  const after = await session.run({ x })
  await session.release()
  const unoptimized = await runModel(copyOf(model), { x })
  const ratios = Object.entries(before).flatMap(([name, expected]) =>
    [after, unoptimized].map((results) =>
      expected.dtype === 'float32'
        ? compare(expected.float32(), results[name]!.float32()).sqnr
        : expected.toNumbers().join() === results[name]!.toNumbers().join()
          ? Number.POSITIVE_INFINITY
          : 0,
    ),
  )
  return { model, worst: Math.min(...ratios) }
}

describe('every operator as pairs', () => {
  for (const activationType of ['uint8', 'int8', 'uint16'] as const)
    test.each(CASES)(`$op, ${activationType}`, async (at) => {
      const { model, worst } = await quantized(at, { activationType, weightType: 'int8' })
      expect(
        model.histogram()['DequantizeLinear'] ?? model.histogram()['com.microsoft:DequantizeLinear'] ?? 0,
      ).toBeGreaterThan(0)
      if (at.gone) expect(model.histogram()).not.toHaveProperty(at.op)
      expect(worst).toBeGreaterThan(at.least ?? 20)
    })
})

describe('every operator as integer operator', () => {
  for (const activationType of ['uint8', 'int8'] as const)
    test.each(CASES)(`$op, ${activationType}`, async (at) => {
      const { model, worst } = await quantized(at, { activationType, weightType: 'int8', quantFormat: 'qoperator' })
      const ops = model.histogram()
      const own = at.op.split(' ')[0]!
      if (at.integer !== null) {
        expect(ops).toHaveProperty([at.integer ?? own])
        if (at.integer) expect(ops).not.toHaveProperty([own])
        else expect([...model.graph.nodes()].find(({ opType }) => opType === own)!.input(0)!.dtype).toMatch(/int8$/)
      }
      expect(worst).toBeGreaterThan(at.least ?? 20)
    })
})
