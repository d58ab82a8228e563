import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { withRounding } from '../../../src/measure/rounded.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { HalfConstants } from '../../../src/passes/float16/constants.ts'
import type { MixedReport } from '../../../src/passes/float16/mixed/index.ts'
import { Judge } from '../../../src/passes/float16/mixed/judge.ts'
import { search } from '../../../src/passes/float16/mixed/search.ts'
import { Trial } from '../../../src/passes/float16/mixed/trial.ts'
import { makePlan } from '../../../src/passes/float16/plan.ts'
import { Prober } from '../../../src/passes/float16/probe.ts'
import { bisect } from '../../support/bisection.ts'
import { toHalf } from '../../support/float16.ts'
import { draw, expectClose, run } from '../../support/rules.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { temporaryFolder } from '../../support/temporary.ts'

type Options = NonNullable<Parameters<typeof toHalf>[1]>

async function mix(model: Model, options: Options = {}) {
  const { data, ...rest } = await toHalf(model, { precision: 'mixed', ...options })
  return { ...rest, report: (data as { mixed: MixedReport } | undefined)?.mixed }
}

/** The runs and the float32 nodes that plain bisection takes for the same question. */
async function plainBisection(model: Model, cosine: number): Promise<{ runs: number; nodes: number }> {
  await createOrtService().inferTypes(model)
  const constants = new HalfConstants('keep')
  const options = {
    precision: 'mixed',
    keepIoTypes: true,
    overflow: 'keep',
    mixedRuns: 64,
    mixedRescale: true,
    rangeCheck: true,
  } as const
  const plan = await makePlan(model, options, new Prober(model, 'cpu'), constants, () => true, new Set())
  const judge = new Judge({ cosine, rtol: undefined, atol: undefined })
  const trial = await Trial.open(model, constants, judge, { files: [], samples: 4 })
  await trial.follow(plan)
  try {
    const { runs, float32 } = await bisect(trial.units.length, (chosen) => trial.passes(chosen))
    return { runs, nodes: float32.size }
  } finally {
    trial.close()
  }
}

/** Puts `x * factor / factor` around the node that makes the value of this name. */
function injectOverflow(model: Model, name: string, factor: number): void {
  const node = [...model.graph.nodes()].find(({ outputs }) => outputs.some((value) => value?.name === name))!
  const value = node.output()
  const { graph } = model
  const constant = graph.addInitializer('injected', Tensor.float32([], [factor]))
  const users = [...value.uses]
  const up = graph.insert({ op: 'Mul', inputs: [value, constant], name: 'injected_up' }, { after: node })
  const down = graph.insert({ op: 'Div', inputs: [up.output(), constant], name: 'injected_down' }, { after: up })
  for (const use of users) use.node.setInput(use.index, down.output())
}

/** A chain in which one value is beyond the half range, as in the middle of a badly scaled network. */
const trap = () =>
  draw(({ input, op, weight }) => {
    let x = input('x', ['n', 8])
    for (let layer = 0; layer < 6; layer++) {
      x = op.Tanh(op.MatMul(x, weight([8, 8])))
      if (layer === 3) x = op.Div(op.Mul(op.Add(x, 1.5), 6e4), 6e4)
    }
    return x
  })

describe('mixed precision', () => {
  test('an overflow is found from the ranges and rescaled away, where bisection leaves two nodes', async () => {
    const model = await trap()
    const expected = await run(model)
    const { report, notes } = await mix(model)
    expect(report).toMatchObject({ float32: [], weights: [], rescaled: [{ op: 'Mul', factor: expect.any(Number) }] })
    expect(report!.rescaled[0]!.magnitude).toBeGreaterThan(65504)
    expect(notes.map(({ level }) => level)).toEqual(['info'])
    expectClose(await run(model), expected, 1e-2)
    const plain = await plainBisection(await trap(), 0.9999)
    expect(plain.nodes).toBe(2)
    expect(report!.runs).toBeLessThan(plain.runs)
  })

  test('an overflow that may not be rescaled: two nodes, in three runs', async () => {
    const model = await trap()
    const expected = await run(model)
    const { report } = await mix(model, { mixedRescale: false })
    expect(report!.float32.map(({ op }) => op)).toEqual(['Mul', 'Div'])
    expect(report!.float32.every(({ magnitude }) => magnitude! > 65504)).toBe(true)
    expect(report!.runs).toBeLessThanOrEqual(3)
    expect(report!.clusters.map(({ precision }) => precision)).toEqual(['float16', 'float32', 'float16'])
    expect(report!.picture).toMatch(/^·+██·+$/)
    expectClose(await run(model), expected, 1e-2)
    const plain = await plainBisection(await trap(), 0.9999)
    expect(report!.runs).toBeLessThan(plain.runs)
    expect(report!.float32.length).toBeLessThanOrEqual(plain.nodes)
  })

  test('plain float16 for a GPU does the same where values leave the range, so that nothing becomes NaN', async () => {
    const model = await trap()
    const expected = await run(model)
    const { data, notes } = await toHalf(model, { device: 'webgpu' })
    expect((data as { mixed: MixedReport }).mixed).toMatchObject({ float32: [], rescaled: [{ op: 'Mul' }] })
    expect(notes.map(({ code }) => code)).toEqual(['mixed/range', 'mixed/float32'])
    expectClose(await run((await withRounding(model))!), expected, 1e-2)
    for (const options of [{ device: 'cpu' }, { device: 'webgpu', rangeCheck: false }])
      expect((await toHalf(await trap(), options)).data).not.toHaveProperty('mixed')
    const sound = await draw(({ input, op }) => op.Tanh(input('x', ['n', 4])))
    expect((await toHalf(sound, { device: 'webgpu' })).data).not.toHaveProperty('mixed')
  })

  test('a loss of digits without overflow is found by where the error grows', async () => {
    const make = () =>
      draw(({ input, op, weight }) => {
        let x = input('x', ['n', 8])
        for (let layer = 0; layer < 6; layer++) {
          x = op.Tanh(op.MatMul(x, weight([8, 8])))
          if (layer === 3) x = op.Sub(op.Add(x, 3000), 3000)
        }
        return x
      })
    const model = await make()
    const expected = await run(model)
    const { report } = await mix(model)
    expect(report!.float32.map(({ op }) => op)).toEqual(['Add', 'Sub'])
    expectClose(await run(model), expected, 1e-2)
    const plain = await plainBisection(await make(), 0.9999)
    expect(report!.runs).toBeLessThan(plain.runs)
  })

  test('a model that is good enough as it is becomes float16 throughout, in one run and a check', async () => {
    const model = await draw(({ input, op, weight }) => op.Tanh(op.MatMul(input('x', ['n', 4]), weight([4, 4]))))
    const { report } = await mix(model)
    expect(report).toMatchObject({ float32: [], runs: 1, clusters: [{ precision: 'float16', nodes: 2 }] })
    expect([...model.graph.nodes()].every(({ opType }) => ['MatMul', 'Tanh', 'Cast'].includes(opType))).toBe(true)
  })

  test('an infinity that saturates does not keep its nodes in float32', async () => {
    const model = await draw(({ input, op }) => op.Tanh(op.Mul(op.Add(op.Abs(input('x', ['n', 4])), 1), 1e6)))
    const { report } = await mix(model)
    expect(report!.float32.map(({ op }) => op)).not.toContain('Tanh')
  })

  test('a bar that nothing reaches is an error', async () => {
    const file = join(temporaryFolder(), 'model.onnx')
    const never = join(file, '../never.mjs')
    writeFileSync(never, 'export default () => false')
    await expect(mix(await trap(), { file, mixedValidate: 'never.mjs' })).rejects.toMatchObject({
      code: 'MIXED_NEVER_PASSES',
      place: { file: never },
      hint: expect.stringContaining('must return true'),
    })
    await expect(mix(await trap(), { file, keepIoTypes: false, mixedAtol: 0 })).rejects.toMatchObject({
      code: 'MIXED_NEVER_PASSES',
      hint: expect.stringContaining('mixed_cosine'),
    })
  })

  test("the user's function decides, and its errors are told", async () => {
    const file = join(temporaryFolder(), 'model.onnx')
    const write = (name: string, code: string): void => writeFileSync(join(file, '..', name), code)
    write(
      'close.mjs',
      'export default (a, b) => a.every((x, i) => Object.keys(x).every((k) => x[k].data.every((v, j) => Math.abs(v - b[i][k].data[j]) < 0.01)))',
    )
    write('throws.mjs', "export default () => { throw new Error('no idea') }")
    write('none.mjs', 'export const x = 1')
    const { report } = await mix(await trap(), { file, mixedValidate: 'close.mjs', mixedRescale: false })
    expect(report!.float32).toHaveLength(2)
    await expect(mix(await trap(), { file, mixedValidate: 'throws.mjs' })).rejects.toMatchObject({
      code: 'VALIDATE_THREW',
      what: expect.stringContaining('no idea'),
    })
    for (const name of ['none.mjs', 'missing.mjs'])
      await expect(mix(await trap(), { file, mixedValidate: name })).rejects.toMatchObject({ code: 'VALIDATE_INVALID' })
  })

  test('a model that is too old for the measurement is refused with a reason', async () => {
    const model = await draw(({ input, op }) => op.Exp(input('x', [2])), { opset: 8, irVersion: 3 })
    await expect(mix(model)).rejects.toMatchObject({ code: 'MIXED_OPSET' })
  })

  test('integer models, and those that are float16 already, stay as they are', async () => {
    const integers = await draw(({ input, op }) => op.Add(input('x', [2], 'int64'), input('y', [2], 'int64')))
    const halves = await draw(({ input, op }) => op.Exp(input('x', [2], 'float16')))
    for (const model of [integers, halves]) expect((await mix(model)).changes).toBe(0)
  })

  test('parts by name stay float32; a part that there is not is an error', async () => {
    const make = () =>
      draw(({ input, op, weight }) =>
        op.MatMul(op.Softmax(op.MatMul(input('x', ['n', 4]), weight([4, 4])), { axis: -1 }), weight([4, 2])),
      )
    const model = await make()
    const { data } = await toHalf(model, { float32Parts: ['softmax', 'logits'] })
    expect(data).toMatchObject({ float32Ops: { Softmax: 1, MatMul: 1 } })
    await expect(toHalf(await make(), { float32Parts: ['heads'] })).rejects.toMatchObject({ code: 'OPTION_VALUE' })
  })
})

describe('search', () => {
  /** Passes when all of `bad` are float32. */
  const problem = (count: number, bad: readonly number[], ranking: readonly number[]) => ({
    count,
    start: [] as number[],
    doubtful: new Set<number>(),
    groups: [],
    passes: async (float32: ReadonlySet<number>) => bad.every((unit) => float32.has(unit)),
    rank: async () => ranking,
    maxRuns: 64,
  })
  const all = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

  test('finds the units exactly, wherever the ranking has them', async () => {
    for (const bad of [[], [0], [3, 99], [17, 18, 60]])
      expect([...(await search(problem(100, bad, all(100))))!].sort((a, b) => a - b)).toEqual(bad)
  })

  test('with a good ranking it takes fewer runs than bisection', async () => {
    let runs = 0
    const bad = [40, 41, 42]
    const guided = problem(500, bad, [...bad, ...all(500)])
    const { passes } = guided
    guided.passes = (float32) => {
      runs++
      return passes(float32)
    }
    await search(guided)
    const plain = await bisect(500, passes)
    expect([...plain.float32].sort()).toEqual(bad)
    expect(runs).toBeLessThan(plain.runs)
  })

  test('where errors add up, it fills what is allowed with the cheapest units', async () => {
    // Every third unit costs much, the others little; a tenth of the sum is allowed.
    const costs = all(60).map((unit) => (unit % 3 ? 1 : 20))
    const costOf = (units: Iterable<number>): number => [...units].reduce((sum, unit) => sum + costs[unit]!, 0)
    const allowed = costOf(all(60)) / 10
    let runs = 0
    const passes = async (float32: ReadonlySet<number>): Promise<boolean> =>
      ++runs > 0 && costOf(all(60).filter((unit) => !float32.has(unit))) <= allowed
    const error = async (float16: ReadonlySet<number>): Promise<number> => costOf(float16) / allowed
    const found = await search({ ...problem(60, [], all(60)), passes, error })
    const ours = runs
    expect(await passes(found!)).toBe(true)
    expect(found!.size).toBeLessThan(40)
    const plain = await bisect(60, passes)
    expect(ours).toBeLessThan(plain.runs)
  })

  test('stops when nothing helps, and when the runs are used up', async () => {
    expect(await search({ ...problem(8, [], all(8)), passes: async () => false })).toBeUndefined()
    const early = await search({ ...problem(100, [50], all(100)), maxRuns: 16 })
    expect(early!.has(50)).toBe(true)
    expect(early!.size).toBeGreaterThan(1)
  })
})

describe.skipIf(!hasShared)('real models', () => {
  test('magika, whose activations reach 1.6e6', async () => {
    const model = readModel(shared('real/magika-v1.onnx'))
    const { report } = await mix(model, { mixedCosine: 0.999 })
    const plain = await plainBisection(readModel(shared('real/magika-v1.onnx')), 0.999)
    expect(report!.runs).toBeLessThan(plain.runs / 2)
    expect(plain.nodes).toBeGreaterThan(8)
    expect(report!.float32).toEqual([])
    const strict = await mix(readModel(shared('real/magika-v1.onnx')), { mixedCosine: 0.999, mixedRescale: false })
    expect(strict.report!.float32.length).toBeLessThanOrEqual(plain.nodes)
  })

  test('an overflow that does no harm to the outputs costs nothing', async () => {
    // The cube in a GELU overflows, and a hyperbolic tangent takes the infinity.
    const make = () => readModel(shared('own/tiny-mmdit.onnx'))
    const plain = await plainBisection(make(), 0.9999)
    for (const mixedRescale of [true, false]) {
      const { report } = await mix(make(), { mixedRescale })
      expect(report!.float32.length).toBeLessThan(plain.nodes)
      expect(report!.runs).toBeLessThan(plain.runs)
    }
  })

  test('MiniLM with an overflow injected', async () => {
    const make = (): Model => {
      const model = readModel(shared('own/minilm.onnx'))
      injectOverflow(model, '/m/encoder/layer.3/output/dense/MatMul_output_0', 6e4)
      return model
    }
    const { report } = await mix(make())
    const plain = await plainBisection(make(), 0.9999)
    expect(report).toMatchObject({ float32: [], rescaled: [{ node: 'injected_up' }] })
    expect(plain.nodes).toBe(2)
    expect(report!.runs).toBeLessThan(plain.runs)
    const without = await mix(make(), { mixedRescale: false })
    expect(without.report!.float32.map(({ node }) => node)).toEqual(['injected_up', 'injected_down'])
  })
})
