import { describe, expect, test } from 'vitest'
import { int } from '../../../src/graph/attributes.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import { codeOf } from '../../../src/onnx/dtypes.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { float16 } from '../../../src/passes/float16/index.ts'
import { toHalf } from '../../support/float16.ts'
import { draw, expectClose, run, type Sketch } from '../../support/rules.ts'

const options = { precision: 'bfloat16', device: 'cuda' } as const

/** Puts Casts around every node that computes in bfloat16: the CPU has no other kernels for it. */
function onCpu(model: Model): Model {
  const { graph } = model
  const cast = (dtype: 'float32' | 'bfloat16') => ({ to: int(codeOf(dtype)) })
  for (const node of [...graph.nodes()]) {
    if (node.is('Cast')) continue
    for (const [i, value] of node.inputs.entries()) {
      if (value?.dtype !== 'bfloat16') continue
      const wide = { op: 'Cast', inputs: [value], attributes: cast('float32'), types: [tensorType('float32')] }
      node.setInput(i, graph.insert(wide, { before: node }).output())
    }
    for (const value of node.outputs) {
      if (value?.dtype !== 'bfloat16') continue
      const users = [...value.uses]
      value.type = tensorType('float32')
      const narrow = { op: 'Cast', inputs: [value], attributes: cast('bfloat16'), types: [tensorType('bfloat16')] }
      const rounded = graph.insert(narrow, { after: node }).output()
      for (const use of users) use.node.setInput(use.index, rounded)
    }
  }
  return model
}

const block = ({ input, op, weight }: Sketch) => {
  const x = op.MatMul(input('x', ['n', 8]), weight([8, 8]))
  const norm = op.LayerNormalization(x, weight([8], { around: 1 }), weight([8]), { axis: -1 })
  const product = op.MatMul(op.Relu(norm), weight([8, 8]))
  return op.Softmax(op.Add(op.Mul(product, 1e6), weight([8])), { axis: -1 })
}

describe('bfloat16', () => {
  test('what CUDA computes in it is converted, inputs and outputs stay float32, values beyond the half range are fine', async () => {
    const model = await draw((sketch) => {
      const y = block(sketch)
      return sketch.op.Div(sketch.op.Mul(sketch.op.Add(y, 1), 1e6), 1e6)
    })
    const expected = await run(model)
    const { data } = await toHalf(model, options)
    expect(data).toMatchObject({ float32Ops: {} })
    expect([...model.graph.inputs, ...model.graph.outputs].map(({ dtype }) => dtype)).toEqual(['float32', 'float32'])
    expect([...model.graph.nodes()].filter(({ opType }) => opType === 'Cast')).toHaveLength(2)
    // All types fit: the only thing that is missing here are kernels.
    await expect(createOrtService().open(model)).rejects.toThrow(/Could not find an implementation/)
    expectClose(await run(onCpu(model)), expected, 3e-2)
  })

  test('operators without a kernel in it stay float32', async () => {
    const model = await draw(({ input, op, weight }) =>
      op.ReduceMean(op.Sin(op.MatMul(input('x', ['n', 4]), weight([4, 4]))), { axes: [1] }),
    )
    const { data } = await toHalf(model, options)
    expect(data).toMatchObject({ float32Ops: { Sin: 1, ReduceMean: 1 } })
    const older = await draw(({ input, op }) =>
      op.Relu(op.Conv(input('x', [1, 1, 4, 4]), op.Relu(input('w', [1, 1, 1, 1])))),
    )
    expect((await toHalf(older, options)).data).toMatchObject({ float32Ops: { Conv: 1 } })
  })

  test('shapes, and operators that only move elements, are no reason for a Cast', async () => {
    const model = await draw(({ input, op, weight, constant }) => {
      const x = op.MatMul(input('x', ['n', 4]), weight([4, 4]))
      const moved = op.Transpose(op.Reshape(x, op.Shape(x)), { perm: [1, 0] })
      return op.Relu(op.Gather(moved, constant(Tensor.int64([0, 1]))))
    })
    await toHalf(model, options)
    const casts = [...model.graph.nodes()].filter(({ opType }) => opType === 'Cast')
    expect(casts.map((node) => [node.input(0)!.dtype, node.output().dtype])).toEqual([
      ['float32', 'bfloat16'],
      ['bfloat16', 'float32'],
    ])
  })

  test('numbers round to nearest, and stay finite', async () => {
    const numbers = [1, 1 + 2 ** -9, 3.4028234663852886e38, -3.4028234663852886e38, Number.NEGATIVE_INFINITY, 1e-30]
    const model = await draw(({ graph, input, op }) =>
      op.Add(input('x', [6]), graph.addInitializer('numbers', Tensor.float32([6], numbers))),
    )
    await toHalf(model, options)
    const converted = [...model.graph.initializers].find(({ dtype }) => dtype === 'bfloat16')!.tensor!.toNumbers()
    expect(converted.slice(0, 5)).toEqual([1, 1, 2 ** 128 - 2 ** 120, 2 ** 120 - 2 ** 128, Number.NEGATIVE_INFINITY])
    expect(converted[5]).toBeCloseTo(1e-30, 32)
  })

  test('refused with a reason where nothing computes in it, and as inputs of JavaScript', () => {
    const given = {
      precision: 'bfloat16',
      keepIoTypes: true,
      overflow: 'keep',
      mixedRuns: 64,
      mixedRescale: true,
      rangeCheck: true,
    } as const
    for (const device of ['cpu', 'wasm', 'webgpu', 'dml'])
      expect(() => float16.check!(given, device)).toThrow(expect.objectContaining({ code: 'BFLOAT16_TARGET' }))
    expect(() => float16.check!({ ...given, keepIoTypes: false }, 'cuda')).toThrow(
      expect.objectContaining({ code: 'BFLOAT16_IO' }),
    )
    expect(() => float16.check!(given, 'cuda')).not.toThrow()
  })
})
