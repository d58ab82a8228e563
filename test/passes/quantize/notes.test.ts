import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import type { AnyPass, Note } from '../../../src/passes/pass.ts'
import { noteNotFinite } from '../../../src/passes/quantize/calibrate/not-finite.ts'
import { emptyStatistics } from '../../../src/passes/quantize/calibrate/statistics.ts'
import { dynamicQuantization } from '../../../src/passes/quantize/dynamic/index.ts'
import { staticQuantization } from '../../../src/passes/quantize/static/index.ts'
import { weightQuantization } from '../../../src/passes/quantize/weights/index.ts'
import { buildModel, passContext } from '../../support/models.ts'
import { DEFAULTS, quantizeStatic, samplesOf, weight } from '../../support/static.ts'

const product = (): Model =>
  buildModel(21, (graph, input) => [
    graph.insert({ op: 'MatMul', inputs: [input('x', [1, 32]), weight(graph, 'w', 32, 4)] }).output(),
  ])

const sum = (): Model =>
  buildModel(21, (graph, input) => [
    graph.insert({ op: 'Add', inputs: [input('x', [1, 4]), weight(graph, 'w', 1, 4)] }).output(),
  ])

/** Codes of the warnings of a pass as the pipeline runs it, with the defaults of its parameters. */
async function warnings(pass: AnyPass, model: Model, options: object = {}): Promise<string[]> {
  const defaults = Object.entries(pass.params).flatMap(([key, spec]) =>
    'default' in spec ? [[key, spec.default]] : [],
  )
  const context = passContext()
  await pass.run(model, { ...Object.fromEntries(defaults), ...options }, context)
  return context.notes.filter(({ level }) => level === 'warn').map(({ code }) => code)
}

describe.each([
  [dynamicQuantization as AnyPass, {}, [1, 32]],
  [staticQuantization as AnyPass, { quantize: 'static' }, [1, 32]],
  [weightQuantization as AnyPass, { quantize: 'weights' }, [1, 32]],
] as const)('$name', (pass, options, dims) => {
  test('says nothing of a model that it quantizes, and warns of one that is quantized', async () => {
    const model = product()
    const { calibration } = samplesOf(...dims)
    expect(await warnings(pass, model, { ...options, calibration })).toEqual([])
    expect(await warnings(pass, model, { ...options, calibration })).toEqual(['quantize/already-quantized'])
  })

  test('warns where nothing was quantized', async () => {
    const { calibration } = samplesOf(1, 4)
    expect(await warnings(pass, sum(), { ...options, calibration })).toEqual(['quantize/nothing'])
    const own = { ...options, calibration, ops: ['MatMul'], excludeOps: ['MatMul'] }
    expect(await warnings(pass, product(), own)).toEqual(['quantize/nothing'])
  })
})

describe('calibration data', () => {
  const messages = (nan: number, infinite: number, inner: boolean): string[] => {
    const { graph } = product()
    const value = inner ? graph.outputs[0]! : graph.inputs[0]!
    const notes: Note[] = []
    noteNotFinite(new Map([[value, { ...emptyStatistics(), nan, infinite }]]), (note) => notes.push(note))
    return notes.map(({ message }) => message)
  }

  test('that is not finite is told, infinity inside of a model (a mask) is not', () => {
    expect(messages(2, 0, false)).toEqual([expect.stringMatching(/"x" has 2 NaN values/)])
    expect(messages(0, 3, false)).toEqual([expect.stringMatching(/"x" has 3 infinite values/)])
    expect(messages(1, 0, true)).toHaveLength(1)
    expect(messages(0, 3, true)).toEqual([])
    expect(messages(0, 0, false)).toEqual([])
  })
})

describe('static options that fit nothing', () => {
  test('an axis that weights do not have', async () => {
    await expect(
      quantizeStatic(product(), { ...DEFAULTS, ...samplesOf(1, 32), channelAxis: { MatMul: '2' } }),
    ).rejects.toMatchObject({ code: 'OPTION_INVALID', what: expect.stringMatching(/MatMul have no axis 2/) })
  })

  test('an unknown operator of floatOutputs', async () => {
    await expect(quantizeStatic(product(), { ...samplesOf(1, 32), floatOutputs: ['Matmul'] })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      hint: expect.stringMatching(/Did you mean MatMul\?/),
    })
  })
})
