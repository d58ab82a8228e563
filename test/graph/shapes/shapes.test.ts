import { describe, expect, test } from 'vitest'
import { addDims, divideDims, evaluateDim, multiplyDims, sliceLength } from '../../../src/graph/dims.ts'
import { readModel } from '../../../src/graph/import.ts'
import { propagateShapes } from '../../../src/graph/shapes/index.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { inferTypes } from '../../../src/ort/typing/index.ts'
import { draw } from '../../support/rules.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { readableModels, recordedRuns } from '../../support/shared-cases.ts'

describe('dimensions by name', () => {
  test('equal sums and products have equal names', () => {
    expect(addDims('past', 'length')).toBe(addDims('length', 'past'))
    expect(addDims(addDims('past', 'length'), 'past', -1)).toBe('length')
    expect(addDims(addDims('a', 2), 3)).toBe('(a + 5)')
    expect(addDims('a', 'a', -1)).toBe(0)
    expect(multiplyDims(['b', 4, 'a', 2])).toBe('8*a*b')
    expect(divideDims(['a', 'b', 32], ['b', 4, 8])).toBe('a')
    expect(divideDims(['a', 6], [4])).toBe(null)
    expect(addDims(null, 1)).toBe(null)
  })

  test('rows of tables are not taken for their elements', async () => {
    const model = await draw(({ op, input, constant }) => {
      const table = constant(Tensor.int64([3, 2, 2, 3], [2, 2]))
      const rows = op.Reshape(op.Gather(table, [1]), [-1])
      const columns = op.Reshape(op.Slice(table, [1], [2], [1]), [-1])
      const x = input('x', [6])
      return [op.Neg(op.Reshape(x, rows)), op.Neg(op.Reshape(x, columns))]
    })
    // Without what ONNX Runtime finds.
    for (const node of model.graph.nodes()) node.output().type = { kind: 'tensor', dtype: node.output().dtype }
    propagateShapes(model)
    expect(model.graph.outputs.map((output) => output.producer!.input(0)!.shape)).toEqual([undefined, undefined])
  })

  test('slices reach no further than what they are cut from', () => {
    const end = 2 ** 63
    expect([sliceLength(9, -9, end), sliceLength(5, -9, end), sliceLength(5, 7, end)]).toEqual([9, 5, 0])
    expect([sliceLength(5, -9, 3), sliceLength(5, 1, -1), sliceLength(5, 2, 9)]).toEqual([3, 3, 3])
    // That of a named size is taken to be long enough, unless only what is certain counts.
    expect([sliceLength('n', -3, end), sliceLength('n', 1, end), sliceLength('n', 0, 'm')]).toEqual([
      3,
      '(n + -1)',
      'm',
    ])
    expect([sliceLength('n', -3, end, true), sliceLength('n', 1, end, true), sliceLength('n', 0, 'm', true)]).toEqual([
      null,
      null,
      null,
    ])
    expect(sliceLength('n', 0, end, true)).toBe('n')
  })

  test('an exporter’s arithmetic on shapes is followed', async () => {
    const model = await draw(({ op, input }) => {
      const x = input('x', ['batch', 'length', 32])
      const shape = op.Shape(x)
      const at = (i: number) => op.Unsqueeze(op.Gather(shape, op.Squeeze([i], [0])), [0])
      const split = op.Reshape(x, op.Concat(at(0), at(1), [4], [8], { axis: 0 }))
      const heads = op.Transpose(split, { perm: [0, 2, 1, 3] })
      const merged = op.Reshape(op.Transpose(heads, { perm: [0, 2, 1, 3] }), op.Concat(at(0), [-1], [32], { axis: 0 }))
      return op.Neg(merged)
    })
    propagateShapes(model)
    const [split, heads] = [...model.graph.nodes()].filter(
      ({ opType }) => opType === 'Reshape' || opType === 'Transpose',
    )
    expect(split!.output().shape).toEqual(['batch', 'length', 4, 8])
    expect(heads!.output().shape).toEqual(['batch', 4, 'length', 8])
    expect(model.graph.lastNode!.input(0)!.shape).toEqual(['batch', 'length', 32])
  })

  test('the size of a dimension, for sizes of what it is made of', () => {
    const sizes: Record<string, number> = { past: 3, length: 2, b: 5 }
    const sizeOf = (dim: Parameters<typeof evaluateDim>[0]): number | undefined =>
      evaluateDim(dim, (name) => sizes[name]!)
    expect([sizeOf(7), sizeOf('past'), sizeOf(null)]).toEqual([7, 3, undefined])
    expect(sizeOf(addDims(addDims('past', 'length'), -1))).toBe(4)
    expect(sizeOf(multiplyDims(['b', 'length', 4]))).toBe(40)
    expect(sizeOf(addDims(multiplyDims(['b', 2]), 'past'))).toBe(13)
  })

  test('ranges, picked elements, and outputs for the time of a rewrite', async () => {
    const model = await draw(({ op, input, constant }) => {
      const x = input('x', ['length', 4])
      const past = input('past', ['past', 4])
      const [length, before] = [x, past].map((value) =>
        op.Gather(op.Shape(value), constant(Tensor.int64([0], []), 'axis')),
      )
      const range = op.Range(before!, op.Add(before!, length!), constant(Tensor.int64([1], []), 'one'))
      const picked = op.GatherND(x, op.Unsqueeze(op.Unsqueeze(range, [1]), [2]))
      const elements = op.GatherElements(x, op.Expand(op.Unsqueeze(range, [1]), [1, 3]), { axis: 0 })
      return [op.Identity(range), op.Relu(picked), op.Relu(elements)]
    })
    const outputs = (): unknown => model.graph.outputs.map(({ shape }) => shape)
    const declared = outputs()
    propagateShapes(model)
    expect(outputs()).toEqual(declared)
    propagateShapes(model, { named: true })
    expect(outputs()).toEqual([['length'], ['length', 1, 4], ['length', 3]])
  })
})

describe.skipIf(!hasShared)('every dimension found is the one that a run has', () => {
  test.each(readableModels(['own', 'fusion', 'issues']).filter((file) => recordedRuns(file).length))(
    '%s',
    async (file) => {
      const model = readModel(shared(file))
      await inferTypes(model)
      propagateShapes(model)
      const found: Value[] = []
      for (const node of model.graph.nodes())
        for (const value of node.outputs) if (value?.shape && !value.isOutput) found.push(value)
      const shapes = new Map(found.map((value) => [value.name, value.shape!]))
      for (const value of found) model.graph.addOutput(value)
      const service = createOrtService()
      const session = await service.open(model)
      for (const { feeds } of recordedRuns(file)) {
        const sizes = new Map<string, number>()
        for (const { name, shape } of model.graph.inputs)
          for (const [i, dim] of shape?.entries() ?? [])
            if (typeof dim === 'string' && feeds[name]) sizes.set(dim, feeds[name].dims[i]!)
        const results = await session.run(feeds)
        const wrong: string[] = []
        for (const [name, shape] of shapes)
          for (const [i, dim] of shape.entries()) {
            const actual = results[name]?.dims[i]
            if (actual === undefined || dim === null) continue
            if (typeof dim === 'string' && !sizes.has(dim)) sizes.set(dim, actual)
            const expected = typeof dim === 'number' ? dim : sizes.get(dim)
            if (expected !== actual) wrong.push(`${name}[${i}]: ${dim} = ${expected}, not ${actual}`)
          }
        expect(wrong).toEqual([])
      }
      await session.release()
    },
  )
})
