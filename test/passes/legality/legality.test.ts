import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createOptimizer } from '../../../src/api.ts'
import { int } from '../../../src/graph/attributes.ts'
import type { Model } from '../../../src/graph/model.ts'
import { OnnxError } from '../../../src/onnx/errors.ts'
import { run } from '../../../src/passes/legality/run.ts'
import { buildModel, bytesOf, passContext } from '../../support/models.ts'
import { temporaryFolder } from '../../support/temporary.ts'

const domains: Readonly<Record<string, string>> = {
  MatMulNBits: 'com.microsoft',
  MatMulBnb4: 'com.microsoft',
  QLinearAdd: 'com.microsoft',
}

function modelOf(op: string, bits?: number): Model {
  return buildModel(17, (graph, input) => [
    graph
      .insert({
        op,
        domain: domains[op] ?? '',
        name: 'node',
        inputs: [input('x', [4])],
        attributes: bits ? { bits: int(bits) } : {},
      })
      .output(),
  ])
}

function check(model: Model, device: string, legality: 'error' | 'warn' = 'error') {
  const context = passContext({ device, file: import.meta.filename })
  const before = bytesOf(model)
  expect(run(model, { legality, quantize: 'dynamic' }, context)).toEqual({ changes: 0 })
  expect(Buffer.compare(bytesOf(model), before)).toBe(0)
  return context.notes
}

describe('operators without a kernel', () => {
  test.each([
    ['webgpu', 'MatMulInteger', undefined],
    ['webgpu', 'ConvInteger', undefined],
    ['webgpu', 'DynamicQuantizeLinear', undefined],
    ['webgpu', 'QuantizeLinear', undefined],
    ['webgpu', 'MatMulBnb4', undefined],
    ['webgpu', 'QLinearAdd', undefined],
    ['webnn', 'MatMulBnb4', undefined],
    ['webnn', 'MatMulNBits', 2],
    ['coreml', 'QuantizeLinear', undefined],
    ['qnn', 'MatMulInteger', undefined],
    ['tensorrt', 'DynamicQuantizeLinear', undefined],
    ['cuda', 'ConvInteger', undefined],
    ['dml', 'MatMulBnb4', undefined],
  ])('%s %s is an error with a suggestion', (device, op, bits) => {
    let error: unknown
    try {
      check(modelOf(op, bits), device)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(OnnxError)
    expect((error as OnnxError).code).toBe('LEGALITY')
    expect((error as OnnxError).message).toMatch(
      new RegExp(`${device} has no ${op}[\\s\\S]*at node node[\\s\\S]*(dtype|preset)=`),
    )
  })

  test('a warning on request', () => {
    expect(check(modelOf('MatMulInteger'), 'webgpu', 'warn')).toMatchObject([
      { level: 'warn', code: 'legality/no-kernel', message: expect.stringContaining('dtype=q4f16') },
    ])
  })
})

test.each([
  ['webgpu', 'MatMulNBits', 4],
  ['webgpu', 'DequantizeLinear', undefined],
  ['webnn', 'MatMulNBits', 4],
  ['webnn', 'MatMulInteger', undefined],
  ['wasm', 'MatMulInteger', undefined],
  ['cpu', 'MatMulBnb4', undefined],
  ['qnn', 'QuantizeLinear', undefined],
  ['tensorrt', 'QuantizeLinear', undefined],
  ['cuda', 'MatMulInteger', undefined],
  ['dml', 'MatMulInteger', undefined],
  // Floats are not the concern of this check.
  ['webgpu', 'NonZero', undefined],
])('%s runs %s', (device, op, bits) => {
  expect(check(modelOf(op, bits), device)).toEqual([])
})

test('a build for a device that cannot run the result fails, and nothing is written', async () => {
  const folder = temporaryFolder()
  const optimizer = createOptimizer({ root: folder })
  const digits = resolve(import.meta.dirname, '../../../fixtures/digits-cnn.onnx')
  const output = join(folder, 'out.onnx')
  const build = optimizer.transform(digits, { dtype: 'q8', device: 'webgpu', output })
  await expect(build).rejects.toMatchObject({ code: 'LEGALITY', what: expect.stringContaining('ConvInteger') })
  expect(existsSync(output)).toBe(false)
  const { report } = await optimizer.transform(digits, { dtype: 'q8', device: 'webgpu', legality: 'warn', output })
  await optimizer.close()
  expect(report.notes.map(({ code }) => code)).toContain('legality/no-kernel')
})

describe('operators of other libraries', () => {
  const custom = (domain: string) =>
    buildModel(17, (graph, input) => [
      graph.insert({ op: 'BertTokenizer', domain, name: 'node', inputs: [input('x', [4])] }).output(),
    ])
  const checked = (model: Model, device: string, legality: 'error' | 'warn' = 'error') => {
    const context = passContext({ device, file: import.meta.filename })
    run(model, { legality, quantize: 'none' }, context)
    return context.notes
  }

  test.each(['wasm', 'webgpu', 'webnn'])('are refused for %s', (device) => {
    expect(() => checked(custom('ai.onnx.contrib'), device)).toThrow(
      expect.objectContaining({ code: 'LEGALITY', hint: expect.stringContaining('preprocess') }),
    )
    expect(() => checked(custom('my.company'), device)).toThrow('my.company:BertTokenizer')
    expect(checked(custom('my.company'), device, 'warn')).toMatchObject([{ code: 'legality/custom-operator' }])
  })

  test('are let through where libraries can be loaded, and where they are part of the model or of ONNX Runtime', () => {
    expect(checked(custom('ai.onnx.contrib'), 'cpu')).toEqual([])
    expect(checked(custom('com.microsoft'), 'wasm')).toEqual([])
    const model = custom('local')
    model.functions.push({ domain: 'local', name: 'BertTokenizer' } as (typeof model.functions)[number])
    model.functions[0]!.graph = buildModel(17, (_, input) => [input('y', [1])]).graph
    expect(checked(model, 'wasm')).toEqual([])
  })
})
