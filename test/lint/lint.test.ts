import { describe, expect, test } from 'vitest'
import { modelToProto } from '../../src/graph/export.ts'
import type { Model } from '../../src/graph/model.ts'
import { tensorType } from '../../src/graph/types.ts'
import { type Finding, lintModel } from '../../src/lint/index.ts'
import { lintNotes } from '../../src/lint/notes.ts'
import { operatorTable, parseOperatorTable } from '../../src/lint/operators.ts'
import { encodeToBytes } from '../../src/onnx/encode.ts'
import { draw } from '../support/rules.ts'

async function lint(model: Model, device = 'webgpu'): Promise<Record<string, Finding>> {
  const findings = await lintModel(model, device, import.meta.dirname)
  return Object.fromEntries(findings.map((finding) => [finding.code.replace('lint/', ''), finding]))
}

describe('on a GPU', () => {
  test('channels that are no multiple of 8; an image of 3 channels is no fault', async () => {
    const model = await draw(({ input, op, weight }) => {
      const image = op.Conv(input('image', [1, 3, 8, 8]), weight([16, 3, 3, 3]))
      return [image, op.MatMul(input('x', [1, 16]), weight([16, 10]))]
    })
    const { alignment } = await lint(model)
    expect(alignment).toMatchObject({ count: 1, nodes: [expect.stringContaining('MatMul')] })
    expect(alignment!.cost).toContain('up to 60 %')
  })

  test('a stride larger than the kernel', async () => {
    const make = (stride: number) =>
      draw(({ input, op, weight }) =>
        op.Conv(input('x', [1, 8, 8, 8]), weight([8, 8, 2, 2]), { strides: [stride, stride] }),
      )
    expect((await lint(await make(3)))['gaps']!.count).toBe(1)
    expect((await lint(await make(2)))['gaps']).toBeUndefined()
  })

  test('Transposes of the layout beside a Conv, with their traffic; those of attention heads are none', async () => {
    const image = await draw(({ input, op, weight }) =>
      op.Relu(op.Conv(op.Transpose(input('x', [1, 8, 8, 16]), { perm: [0, 3, 1, 2] }), weight([8, 16, 1, 1]))),
    )
    expect((await lint(image))['layout']).toMatchObject({ count: 1, cost: '0.00819 MB of memory traffic a run' })
    const heads = await draw(({ input, op }) =>
      op.MatMul(input('q', [1, 2, 4, 8]), op.Transpose(input('k', [1, 4, 2, 8]), { perm: [0, 2, 3, 1] })),
    )
    expect((await lint(heads))['layout']).toBeUndefined()
  })

  test('Casts inside, not those at the borders', async () => {
    const model = await draw(({ input, op }) => {
      const inside = op.Cast(op.Exp(op.Cast(input('x', [8]), { to: 10 })), { to: 1 })
      return op.Cast(op.Neg(op.Cast(inside, { to: 10 })), { to: 1 })
    })
    const { casts } = await lint(model)
    expect(casts).toMatchObject({ count: 2, message: expect.stringContaining('1 of them right after another') })
  })

  test('int8 operators and operators without a kernel; shapes that the CPU computes are no fault', async () => {
    const model = await draw(({ graph, input, op }) => {
      const x = input('x', [8])
      const quantized = graph.insert({ op: 'DynamicQuantizeLinear', inputs: [x], outputs: 3 })
      quantized.output(0).type = tensorType('uint8', [8])
      return [quantized.output(0), op.Shape(x), op.Concat(op.Shape(x), op.Shape(x), { axis: 0 })]
    })
    const { quantized, leaving } = await lint(model)
    expect(quantized!.count).toBe(1)
    expect(leaving!.message).toMatch(/onnxruntime-web \d+\.\d+\.\d+ on webgpu: DynamicQuantizeLinear/)
  })

  test('what leaves the GPU is counted by the tensors that are copied, each once', async () => {
    const model = await draw(({ input, op }) => {
      const x = op.Exp(input('x', [4, 250]))
      // Two operators in a row on the CPU: nothing is copied between them, and x only once.
      const there = op.Softsign(op.Softsign(x))
      return [op.Add(op.Neg(there), op.Abs(there)), op.Softsign(x)]
    })
    const { leaving } = await lint(model)
    expect(leaving).toMatchObject({ count: 3, level: 'warn' })
    expect(leaving!.cost).toContain('1 tensor copied from the GPU')
    expect(leaving!.cost).toContain('1 tensor back of 0.008 MB')
    const folded = await draw(({ input, op, weight }) => op.Add(input('x', [4]), op.Softsign(weight([4]))))
    expect((await lint(folded))['leaving']).toBeUndefined()
    // On the caller's side of the model there is nothing to copy down.
    const early = await draw(({ input, op }) => op.Exp(op.Softsign(input('x', ['n', 4]))))
    expect((await lint(early))['leaving']!.cost).toContain('0 tensors copied from the GPU')
  })

  test('an operator that lost its kernel with a newer opset', async () => {
    const pool = (opset: number) =>
      draw(({ input, op }) => op.Relu(op.MaxPool(op.Exp(input('x', [1, 8, 4, 4])), { kernel_shape: [2, 2] })), {
        opset,
        irVersion: 10,
      })
    expect((await lint(await pool(21)))['leaving']).toBeUndefined()
    expect((await lint(await pool(22)))['leaving']!.change).toMatch(/^Export the model with opset 21, .* MaxPool\.$/)
    const listed = await draw(({ input, op }) => op.Softplus(op.Max(input('x', [4]), input('y', [4]))))
    expect((await lint(listed))['leaving']).toBeUndefined()
  })

  test('rows of computed matrices that are no multiple of 16 bytes', async () => {
    const product = (length: number, dtype: 'float32' | 'float16' = 'float32') =>
      draw(({ input, op }) => op.MatMul(input('a', [2, 64, length], dtype), input('b', [2, length, 64], dtype)))
    const { strides } = await lint(await product(197))
    expect(strides).toMatchObject({ count: 1, level: 'info', change: expect.stringContaining('197 to 200') })
    expect((await lint(await product(196)))['strides']).toBeUndefined()
    expect((await lint(await product(196, 'float16')))['strides']!.change).toContain('196 to 200')
    const weight = await draw(({ input, op, weight }) => op.MatMul(input('a', [1, 196]), weight([196, 8])))
    expect((await lint(weight))['strides']).toBeUndefined()
  })

  test('a Transpose that takes back an earlier one', async () => {
    const model = await draw(({ input, op, weight }) => {
      const image = op.Conv(input('x', [1, 8, 4, 4]), weight([8, 8, 1, 1]))
      const last = op.Relu(op.Transpose(image, { perm: [0, 2, 3, 1] }))
      return op.Conv(op.Transpose(last, { perm: [0, 3, 1, 2] }), weight([8, 8, 1, 1]))
    })
    expect((await lint(model))['layout']).toMatchObject({
      count: 2,
      message: expect.stringContaining('1 of them back again'),
    })
  })

  test('copies between devices, and dynamic inputs', async () => {
    const model = await draw(({ graph, input }) => {
      const copy = graph.insert({ op: 'MemcpyToHost', inputs: [input('x', ['n', 8])] })
      copy.output().type = tensorType('float32', ['n', 8])
      return copy.output()
    })
    const found = await lint(model)
    expect(found['copies']!.count).toBe(1)
    expect(found['dynamic']).toMatchObject({ count: 1, nodes: ['x [n, 8]'] })
  })

  test('a clean model has no findings', async () => {
    const model = await draw(({ input, op, weight }) => op.Relu(op.MatMul(input('x', [1, 16]), weight([16, 32]))))
    expect(await lint(model)).toEqual({})
    expect(await lint(model, 'cuda')).toEqual({})
  })
})

test('a build for a GPU warns of what the build can change, and leaves the model as it is', async () => {
  const model = await draw(({ graph, input }) => {
    const quantized = graph.insert({ op: 'DynamicQuantizeLinear', inputs: [input('x', ['n'])], outputs: 3 })
    quantized.output(0).type = tensorType('uint8', ['n'])
    return quantized.output(0)
  })
  const before = encodeToBytes(modelToProto(model))
  const notes = await lintNotes(model, 'webgpu', import.meta.dirname)
  expect(notes.map(({ level, code }) => [level, code])).toEqual([
    ['warn', 'lint/leaving'],
    ['warn', 'lint/quantized'],
    ['info', 'lint/dynamic'],
  ])
  expect(encodeToBytes(modelToProto(model))).toEqual(before)
})

test('the table of kernels knows versions and domains', () => {
  const text = '| Gemm | ai.onnx(7-8,11+) | |\n| Gelu | ai.onnx(20+); com.microsoft(1+) | |\n'
  const table = parseOperatorTable(text, 'here')
  expect([6, 7, 8, 9, 11, 30].map((opset) => table.has('', 'Gemm', opset))).toEqual([
    false,
    true,
    true,
    false,
    true,
    true,
  ])
  expect([table.has('', 'Gelu', 19), table.has('com.microsoft', 'Gelu', 1), table.has('', 'Nothing', 1)]).toEqual([
    false,
    true,
    false,
  ])
  expect(operatorTable('webgpu', import.meta.dirname)!.has('', 'MatMul', 17)).toBe(true)
  expect(operatorTable('cuda', import.meta.dirname)!.has('', 'MatMul', 17)).toBe(true)
  expect(operatorTable('abacus', import.meta.dirname)).toBeUndefined()
})

test('what to do about nodes that leave a device depends on why they do', async () => {
  const model = await draw(({ graph, input, op }) => {
    const gelu = graph.insert({
      op: 'BiasGelu',
      domain: 'com.microsoft',
      inputs: [op.Exp(input('x', [4])), input('b', [4])],
    })
    gelu.output().type = tensorType('float32', [4])
    return op.Relu(op.Softsign(gelu.output()))
  })
  const { leaving } = await lint(model, 'tensorrt')
  expect(leaving!.change).toMatch(/^Leave out the fusions that make BiasGelu/)
  expect(leaving!.message).toMatch(/onnx-tensorrt \d/)
  expect((await lint(model, 'coreml'))['leaving']!.message).toContain('Softsign')
  expect((await lint(model, 'cuda'))['leaving']).toBeUndefined()
})
