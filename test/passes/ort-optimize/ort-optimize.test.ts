import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { type Attributes, int, ints, string } from '../../../src/graph/attributes.ts'
import type { Graph } from '../../../src/graph/graph.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { OnnxError } from '../../../src/onnx/errors.ts'
import { ortOptimize } from '../../../src/passes/ort-optimize/index.ts'
import { buildModel, bytesOf, copyOf, difference, passContext, runModel, signatureOf } from '../../support/models.ts'
import { draw, noise, opsOf } from '../../support/rules.ts'

const weight = (dims: readonly number[], seed: number) =>
  Tensor.float32(
    dims,
    noise(
      dims.reduce((a, b) => a * b, 1),
      seed,
    ),
  )
type Op = (op: string, inputs: (Value | null)[], attributes?: Attributes) => Value
const make = (dims: readonly number[], body: (op: Op, x: Value, graph: Graph) => Value, opset = 13): Model =>
  buildModel(opset, (graph, input) => {
    const op: Op = (name, inputs, attributes) =>
      graph.insert({ op: name, inputs, ...(attributes ? { attributes } : {}) }).output()
    return [body(op, input('x', dims), graph)]
  })

/** What layer normalization is made of; `keep` says which of the two means keep their axis. */
const normalization = (keep: [boolean, boolean], scale: readonly number[] = [4], dims: readonly number[] = [4, 4]) =>
  make(dims, (op, x, graph) => {
    const mean = (value: Value, kept: boolean) =>
      op('ReduceMean', [value], { axes: ints([-1]), keepdims: int(kept ? 1 : 0) })
    const constant = (value: number) => graph.addInitializer('c', Tensor.float32([], [value]))
    const centred = op('Sub', [x, mean(x, keep[0])])
    const variance = mean(op('Pow', [centred, constant(2)]), keep[1])
    const normal = op('Div', [centred, op('Sqrt', [op('Add', [variance, constant(1e-5)])])])
    const scaled = op('Mul', [normal, graph.addInitializer('scale', weight(scale, 1))])
    return op('Add', [scaled, graph.addInitializer('bias', weight([4], 2))])
  })

const padded = (pooling: string, attributes: Attributes, pads = [0, 0, 1, 1, 0, 0, 1, 1]) =>
  make([1, 1, 5, 5], (op, x, graph) => {
    const negative = op('Neg', [op('Abs', [x])])
    const pad = op('Pad', [negative, graph.addInitializer('pads', Tensor.int64(pads))])
    const inputs = pooling === 'Conv' ? [pad, graph.addInitializer('w', weight([1, 1, 3, 3], 2))] : [pad]
    return op(pooling, inputs, attributes)
  })
const kernel = { kernel_shape: ints([3, 3]) }

const traps: [string, Model][] = [
  ['LayerNormalization', normalization([true, true])],
  ['first mean without its axis', normalization([false, true])],
  ['second mean without its axis', normalization([true, false])],
  ['both means without their axis', normalization([false, false])],
  ['a scale along the other axis', normalization([true, true], [4, 1])],
  ['a scale that makes the result larger', normalization([true, true], [3, 4], [1, 4])],
  ['a scale of one element', normalization([true, true], [1])],
  ['zeros around a maximum below zero', padded('MaxPool', kernel)],
  ['a padding wider than the kernel', padded('MaxPool', kernel, [0, 0, 3, 3, 0, 0, 3, 3])],
  ['zeros in an average that does not count padding', padded('AveragePool', kernel)],
  ['a Pad before a Conv that pads by itself', padded('Conv', { auto_pad: string('SAME_UPPER') })],
  ['a negative Pad before a Conv', padded('Conv', {}, [0, 0, -1, -1, 0, 0, -1, -1])],
]

const optimize = (model: Model, options: Partial<Parameters<typeof ortOptimize.run>[1]> = {}, device = 'cpu') => {
  const context = passContext({ device })
  return Promise.resolve(
    ortOptimize.run(model, { optimize: 'extended', geluApproximation: false, ...options }, context),
  ).then((result) => ({
    ...result,
    notes: context.notes,
  }))
}
const ops = (model: Model) => [...model.allNodes()].map(({ opType }) => opType)

describe.each(['basic', 'extended'] as const)('%s computes the same', (level) => {
  test.each(traps)('%s', async (_, model) => {
    const x = weight(model.graph.inputs[0]!.shape as number[], 9)
    const expected = Object.values(await runModel(copyOf(model), { x }))[0]!
    const changed = copyOf(model)
    await optimize(changed, { optimize: level })
    const actual = Object.values(await runModel(copyOf(changed), { x }))[0]
    expect(difference(actual, expected)).toBeLessThan(1e-5)
  })
})

test('what is sound is fused, and what is left out is said', async () => {
  const sound = normalization([true, true])
  await optimize(sound)
  expect(ops(sound)).toEqual(['LayerNormalization'])
  const { notes } = await optimize(normalization([false, true]))
  expect(notes.map(({ message }) => message).join()).toContain('LayerNormFusionL2 is left out')
})

test('an operator that only ONNX Runtime has at this version is noted', async () => {
  const { notes } = await optimize(normalization([true, true]))
  expect(notes).toContainEqual(expect.objectContaining({ code: 'ort-optimize/runtime-only' }))
})

test('a graph output that ONNX Runtime would lose stays', async () => {
  const model = buildModel(12, (graph, input) => {
    const [a, b] = [input('a', [3, 2]), input('b', [4, 3])]
    const turn = (value: Value) =>
      graph.insert({ op: 'Transpose', inputs: [value], attributes: { perm: ints([1, 0]) } }).output()
    const turned = turn(a)
    return [graph.insert({ op: 'Gemm', inputs: [turned, turn(b)] }).output(), turned]
  })
  const names = model.graph.outputs.map(({ name }) => name)
  await optimize(model)
  const result = await runModel(copyOf(model), { a: weight([3, 2], 1), b: weight([4, 3], 2) })
  expect(Object.keys(result)).toEqual(names)
})

test('signature, metadata and documentation stay; only used operator sets are declared', async () => {
  const model = make([4, 4], (op, x, graph) => {
    const scaled = op('Mul', [x, graph.addInitializer('s', Tensor.float32([], [0.125]))])
    const product = op('MatMul', [op('Transpose', [scaled], { perm: ints([1, 0]) }), x])
    return op('Relu', [product])
  })
  model.metadata.set('author', 'me')
  model.extra.producerName = 'test'
  model.graph.inputs[0]!.extra = { docString: 'the input' }
  const before = signatureOf(copyOf(model))
  await optimize(model)
  const after = copyOf(model)
  expect(ops(after)).toContain('FusedMatMul')
  expect(signatureOf(after)).toBe(before)
  expect(after.extra.producerName).toBe('test')
  expect([...after.opsets]).toEqual([
    ['', 13],
    ['com.microsoft', 1],
  ])
})

test('initializers that had to be inputs in IR version 3', async () => {
  const model = make(
    [1, 1, 5, 5],
    (op, x, graph) => {
      const conv = op('Conv', [x, graph.addInitializer('w', weight([2, 1, 3, 3], 1))])
      return op('Mul', [conv, graph.addInitializer('m', weight([1, 2, 1, 1], 2))])
    },
    9,
  )
  model.irVersion = 3
  for (const value of [...model.graph.initializers]) model.graph.registerInput(value)
  const x = weight([1, 1, 5, 5], 3)
  const expected = Object.values(await runModel(copyOf(model), { x }))[0]!
  await optimize(model)
  expect(ops(model)).toEqual(['Conv'])
  expect(copyOf(model).graph.inputs.map(({ name }) => name)).toEqual(['x'])
  expect(difference(Object.values(await runModel(copyOf(model), { x }))[0], expected)).toBeLessThan(1e-5)
})

test('a model never grows', async () => {
  const model = buildModel(17, (graph, input) => {
    const shape = graph.addInitializer('shape', Tensor.int64([256, 256]))
    const filled = graph.insert({ op: 'ConstantOfShape', inputs: [shape] }).output()
    return [graph.insert({ op: 'Add', inputs: [input('x', [256]), filled] }).output()]
  })
  const before = bytesOf(model)
  const { notes } = await optimize(model)
  expect(bytesOf(model).length).toBeLessThanOrEqual(before.length)
  expect(notes.map(({ message }) => message).join()).toContain('ConstantFolding is left out: it makes the model larger')
})

test('half precision on a processor without it is left alone', async () => {
  const model = buildModel(17, (graph, input) => {
    const x = input('x', [2, 4], 'float16')
    return [graph.insert({ op: 'Erf', inputs: [graph.insert({ op: 'Exp', inputs: [x] }).output()] }).output()]
  })
  await optimize(model)
  expect(ops(model)).not.toContain('Cast')
})

test('what ONNX Runtime can not load is left alone', async () => {
  const model = buildModel(17, (graph, input) => {
    graph.model.useDomain('my.domain')
    return [graph.insert({ op: 'Anything', domain: 'my.domain', inputs: [input('x', [2])] }).output()]
  })
  const before = bytesOf(model)
  const { changes, notes } = await optimize(model)
  expect(changes).toBe(0)
  expect(notes[0]?.code).toBe('ort-optimize/not-loadable')
  expect(Buffer.compare(bytesOf(model), before)).toBe(0)
})

test('Gelu by its approximation, where asked for', async () => {
  const erf = await draw(({ op, input }) => {
    const x = input('x', ['n', 8])
    return op.Mul(op.Mul(x, 0.5), op.Add(op.Erf(op.Div(x, Math.SQRT2)), 1))
  })
  const exact = copyOf(erf)
  await optimize(exact)
  expect(opsOf(exact)).toBe('com.microsoft:Gelu')
  await optimize(erf, { geluApproximation: true })
  expect(opsOf(erf)).toBe('com.microsoft:FastGelu')
})

test('optimizers can be left out by name', async () => {
  const model = normalization([true, true])
  await optimize(model, { disableOptimizers: ['LayerNormFusionL1', 'LayerNormFusionL2', 'SimplifiedLayerNormFusion'] })
  expect(ops(model)).not.toContain('LayerNormalization')
})

describe('devices', () => {
  const product = () =>
    make([2, 4, 4], (op, x) => op('MatMul', [op('Transpose', [x], { perm: ints([0, 2, 1]) }), x]), 17)
  test.each([
    ['wasm', 'FusedMatMul'],
    ['webgpu', 'Transpose'],
    ['webnn', 'Transpose'],
  ])('%s gets %s', async (device, op) => {
    const model = product()
    await optimize(model, {}, device)
    expect(ops(model)).toContain(op)
  })
  test('all is for this machine', () => {
    expect(() => ortOptimize.check!({ optimize: 'all', geluApproximation: false }, 'wasm')).toThrow(OnnxError)
    expect(() => ortOptimize.check!({ optimize: 'all', geluApproximation: false }, 'cpu')).not.toThrow()
    expect(ortOptimize.hardwareDependent!({ optimize: 'all', geluApproximation: false })).toBe(true)
    expect(ortOptimize.hardwareDependent!({ optimize: 'extended', geluApproximation: false })).toBe(false)
  })
  test('a misspelt optimizer', () => {
    const check = () =>
      ortOptimize.check!({ optimize: 'basic', geluApproximation: false, disableOptimizers: ['MatmulAddFusion'] }, 'cpu')
    expect(check).toThrow(/Did you mean "MatMulAddFusion"/)
  })
})

test('no file is left behind', async () => {
  // A temporary folder of its own: other tests leave theirs in the common one while this runs.
  const temporary = mkdtempSync(join(tmpdir(), 'ort-optimize-'))
  vi.stubEnv('TMPDIR', temporary)
  await optimize(normalization([true, true]))
  vi.unstubAllEnvs()
  expect(readdirSync(temporary)).toEqual([])
  rmSync(temporary, { recursive: true })
})
