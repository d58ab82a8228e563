import { describe, expect, test } from 'vitest'
import { type Attributes, graph as graphAttribute, int, ints } from '../../../../src/graph/attributes.ts'
import { Graph } from '../../../../src/graph/graph.ts'
import type { Model } from '../../../../src/graph/model.ts'
import type { Node } from '../../../../src/graph/node.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { tensorType } from '../../../../src/graph/types.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import type { LossReport } from '../../../../src/passes/quantize/static/loss.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { buildModel, copyOf, runModel, signatureOf } from '../../../support/models.ts'
import { jsonFile, quantizeStatic, randomTensor, weight } from '../../../support/static.ts'

const product = (graph: Graph, a: Value, b: Value): Value =>
  graph.insert({ op: 'MatMul', inputs: [a, b], types: [tensorType('float32', [4, 8])] }).output()

const relu = (graph: Graph, a: Value): Value =>
  graph.insert({ op: 'Relu', inputs: [a], types: [tensorType('float32', [4, 8])] }).output()

/** A node with bodies; `build` fills each. */
function withBodies(
  graph: Graph,
  op: string,
  inputs: Value[],
  bodies: Record<string, (body: Graph) => void>,
  more: { outputs?: number; attributes?: Attributes } = {},
): Node {
  const node = graph.insert({ op, inputs, outputs: more.outputs ?? 1, attributes: more.attributes ?? {} })
  for (const [name, build] of Object.entries(bodies)) {
    const body = new Graph(graph.model, name, node)
    build(body)
    node.attributes.set(name, graphAttribute(body))
  }
  return node
}

/** `if c: relu(x·w)·v else: x·u`, with `w` of the main graph. */
const branches = (): Model =>
  buildModel(17, (graph, input) => {
    const [x, c] = [input('x', [4, 8]), input('c', [], 'bool')]
    const w = weight(graph, 'w', 8, 8)
    const node = withBodies(graph, 'If', [c], {
      then_branch: (body) => body.addOutput(product(body, relu(body, product(body, x, w)), weight(body, 'v', 8, 8))),
      else_branch: (body) => body.addOutput(product(body, x, weight(body, 'u', 8, 8))),
    })
    return [node.output()]
  })

/** Three rounds of `state · w / 2`; `inner` may put something around the product. */
const loop = (
  inner: (body: Graph, state: Value, w: Value, round: Value) => Value = (body, state, w) => product(body, state, w),
): Model =>
  buildModel(17, (graph, input) => {
    const x = input('x', [4, 8])
    const w = weight(graph, 'w', 8, 8)
    const trips = graph.addInitializer('trips', Tensor.int64([3], []))
    const go = graph.addInitializer('go', Tensor.from('bool', [], [1]))
    const node = withBodies(graph, 'Loop', [trips, go, x], {
      body: (body) => {
        const round = body.addInput('i', tensorType('int64', []))
        const on = body.addInput('on', tensorType('bool', []))
        const state = body.addInput('state', tensorType('float32', [4, 8]))
        body.addOutput(body.insert({ op: 'Identity', inputs: [on], types: [tensorType('bool', [])] }).output())
        const half = body.addInitializer('half', Tensor.float32([], [0.5]))
        const types = [tensorType('float32', [4, 8])]
        const result = inner(body, state, w, round)
        body.addOutput(body.insert({ op: 'Mul', inputs: [result, half], types }).output())
      },
    })
    return [node.output()]
  })

const scan = (attributes: Attributes = {}): Model =>
  buildModel(17, (graph, input) => {
    const rows = input('x', [4, 8])
    const start = graph.addInitializer('start', Tensor.float32([1, 8], new Float32Array(8)))
    const w = weight(graph, 'w', 8, 8)
    const type = tensorType('float32', [1, 8])
    const node = withBodies(
      graph,
      'Scan',
      [start, rows],
      {
        body: (body) => {
          const state = body.addInput('state', type)
          const row = body.addInput('row', tensorType('float32', [8]))
          const axes = body.addInitializer('axes', Tensor.int64([0]))
          const wide = body.insert({ op: 'Unsqueeze', inputs: [row, axes], types: [type] }).output()
          const sum = body.insert({ op: 'Add', inputs: [wide, state], types: [type] }).output()
          const made = body.insert({ op: 'MatMul', inputs: [sum, w], types: [type] }).output()
          const next = body.insert({ op: 'Tanh', inputs: [made], types: [type] }).output()
          body.addOutput(next)
          body.addOutput(body.insert({ op: 'Identity', inputs: [next], types: [type] }).output())
        },
      },
      { outputs: 2, attributes: { num_scan_inputs: int(1), ...attributes } },
    )
    return [...node.outputs] as Value[]
  })

/** Calibrates on samples in turn with both conditions, if the model has one. */
async function check(
  model: Model,
  options: Partial<StaticOptions> = {},
  conditions: readonly boolean[] = [true, false],
  least = 25,
): Promise<Model> {
  const samples = Array.from({ length: 6 }, (_, i) => ({
    x: randomTensor(4, 8),
    c: conditions[i % conditions.length]!,
  }))
  const hasCondition = model.graph.inputs.some(({ name }) => name === 'c')
  const lines = samples.map(({ x, c }) => JSON.stringify({ x: { dims: [4, 8], data: x.toNumbers() }, c }))
  const feedsOf = ({ x, c }: (typeof samples)[0]): Record<string, Tensor> => ({
    x,
    ...(hasCondition ? { c: Tensor.from('bool', [], [c ? 1 : 0]) } : {}),
  })
  const before = []
  for (const sample of samples.slice(0, 2)) before.push(await runModel(model, feedsOf(sample)))
  await createOrtService().inferTypes(model)
  const signature = signatureOf(model)
  await quantizeStatic(model, { calibration: jsonFile('data.jsonl', lines.join('\n')), ...options })
  expect(signatureOf(model)).toBe(signature)
  const session = await createOrtService().open(copyOf(model), { graphOptimizationLevel: 'all' })
  for (const [i, expected] of before.entries()) {
    const actual = await session.run(feedsOf(samples[i]!))
    for (const [name, tensor] of Object.entries(expected))
      expect(compare(tensor.float32(), actual[name]!.float32()).sqnr).toBeGreaterThan(least)
  }
  await session.release()
  return model
}

const FORMATS = [
  { quantFormat: 'qdq' },
  { quantFormat: 'qdq', sparePairs: false, allOps: true },
  { quantFormat: 'qdq', dedicatedPairs: true },
  { quantFormat: 'qoperator' },
  { quantFormat: 'qoperator', sparePairs: false, allOps: true },
] as const satisfies Partial<StaticOptions>[]

describe('bodies', () => {
  test.each(FORMATS)('branches of an If: %o', async (options) => {
    const model = await check(branches(), options)
    // What is captured and what belongs to the branch, weights of both.
    const ops = model.histogram()
    if (options.quantFormat === 'qdq') expect(ops['MatMul']).toBe(3)
    else expect(ops).not.toHaveProperty('MatMul')
    expect(
      [...model.allGraphs()]
        .flatMap((graph) => [...graph.initializers])
        .filter(({ tensor }) => tensor!.dims.length > 1)
        .map(({ tensor }) => tensor!.dtype),
    ).toEqual(['int8', 'int8', 'int8'])
  })

  test.each(FORMATS)('a Loop: %o', async (options) => {
    const model = await check(loop(), options)
    expect(model.histogram()).toHaveProperty([options.quantFormat === 'qdq' ? 'QuantizeLinear' : 'QuantizeLinear'])
  })

  test.each(FORMATS)('a Scan: %o', async (options) => {
    await check(scan(), options)
    await check(scan({ scan_output_axes: ints([0]), scan_output_directions: ints([0]) }), options)
  })

  test('an If in a Loop', async () => {
    const model = await check(
      loop((body, state, w, round) => {
        const two = body.addInitializer('two', Tensor.int64([2], []))
        const late = body.insert({ op: 'Less', inputs: [round, two], types: [tensorType('bool', [])] }).output()
        return withBodies(body, 'If', [late], {
          then_branch: (branch) => branch.addOutput(product(branch, relu(branch, product(branch, state, w)), w)),
          else_branch: (branch) => branch.addOutput(product(branch, state, weight(branch, 'u', 8, 8))),
        }).output()
      }),
      {},
      [true],
      20,
    )
    expect(model.histogram()['QuantizeLinear']).toBe(2)
  })

  test('the ranges are those of all rounds', async () => {
    const model = loop((body, state, w) =>
      product(
        body,
        // 1 · state, 2 · state, 4 · state: twice as much in every round.
        body
          .insert({
            op: 'Add',
            inputs: [state, state],
            types: [tensorType('float32', [4, 8])],
          })
          .output(),
        w,
      ),
    )
    model.graph.initializers.forEach((value) => {
      const identity = Float32Array.from({ length: 64 }, (_, i) => (i % 9 === 0 ? 2 : 0))
      if (value.name === 'w') model.graph.setInitializer(value, Tensor.float32([8, 8], identity))
    })
    const data = jsonFile('data.jsonl', JSON.stringify({ x: { dims: [4, 8], data: Array(32).fill(1) } }))
    const { ranges } = await quantizeStatic(model, { calibration: data })
    // (2 · 1), (2 · 2), (2 · 4) go into the product.
    expect(Object.values(ranges)).toContainEqual([2, 8])
  })

  test('in a branch that never ran only what is known from outside is quantized', async () => {
    const model = await check(branches(), { calibrationMethod: 'percentile' }, [true])
    const [, otherwise] = [...model.graph.nodes()].find(({ opType }) => opType === 'If')!.subgraphs
    expect([...otherwise!.nodes()].map(({ opType }) => opType)).toEqual([
      'DequantizeLinear',
      'DequantizeLinear',
      'MatMul',
    ])
  })

  test('masks in a body stay float', async () => {
    const model = loop((body, state, w) => {
      const types = [tensorType('float32', [4, 8])]
      const mask = body.addInitializer('mask', Tensor.float32([8], [0, 0, 0, 0, 0, 0, 0, -1e9]))
      const masked = body.insert({ op: 'Add', inputs: [product(body, state, w), mask], types }).output()
      return body.insert({ op: 'Softmax', inputs: [masked], types }).output()
    })
    await check(model, { allOps: true, sparePairs: false })
  })

  test('what quantization costs is told of bodies too, over all rounds', async () => {
    const nested = loop((body, state, w, round) => {
      const two = body.addInitializer('two', Tensor.int64([2], []))
      const late = body.insert({ op: 'Less', inputs: [round, two], types: [tensorType('bool', [])] }).output()
      return withBodies(body, 'If', [late], {
        then_branch: (branch) => branch.addOutput(product(branch, product(branch, state, w), w)),
        else_branch: (branch) => branch.addOutput(product(branch, relu(branch, product(branch, state, w)), w)),
      }).output()
    })
    for (const [model, count] of [
      [branches(), 1],
      [loop(), 1],
      [scan(), 1],
      [nested, 3],
    ] as const) {
      const bodies = [...model.graph.allGraphs()].slice(1)
      const { loss } = await costs(model)
      const names = new Set(
        bodies
          .flatMap((body) => [...body.inputs, ...[...body.nodes()].flatMap(({ outputs }) => outputs)])
          .map((value) => value?.name),
      )
      const inside = loss.activations.filter(({ name }) => names.has(name))
      expect(inside).toHaveLength(count)
      for (const { rounding, total } of inside) {
        expect(rounding).toBeGreaterThan(25)
        expect(total).toBeGreaterThan(20)
      }
    }
  })
})

/** Quantizes a model; what that costs on two samples. */
async function costs(model: Model): Promise<{ loss: LossReport }> {
  const samples = [true, false].map((c) =>
    JSON.stringify({ x: { dims: [4, 8], data: randomTensor(4, 8).toNumbers() }, c }),
  )
  const calibration = jsonFile('data.jsonl', samples.join('\n'))
  const { data } = await quantizeStatic(model, { calibration, lossSamples: 2 })
  return data as { loss: LossReport }
}
