import { expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { codeOf } from '../../../src/onnx/dtypes.ts'
import { inputInt32 } from '../../../src/passes/input-int32/index.ts'
import { buildModel, difference, passContext, runModel } from '../../support/models.ts'
import { draw, opsOf } from '../../support/rules.ts'

const run = (model: Model, context = passContext()) => inputInt32.run(model, { inputInt32: true }, context)
const typesOf = (model: Model) => model.graph.inputs.map(({ dtype }) => dtype)

async function sameResults(model: Model, feeds: Record<string, Tensor>): Promise<void> {
  const expected = await runModel(model, feeds)
  expect(await run(model)).toMatchObject({ changes: expect.any(Number) })
  const narrow = Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => [
      name,
      tensor.dtype === 'int64' ? Tensor.from('int32', tensor.dims, tensor.toNumbers()) : tensor,
    ]),
  )
  const actual = await runModel(model, narrow)
  for (const [name, tensor] of Object.entries(expected)) expect(difference(actual[name], tensor)).toBe(0)
}

test('integer inputs become int32, with one Cast back for all who need another type', async () => {
  const model = await draw(({ op, input, weight }) => {
    const ids = input('ids', ['batch', 3], 'int64')
    const table = op.Gather(weight([8, 4]), ids)
    return [op.Add(table, input('x', [4])), op.Gather(weight([8, 4]), ids)]
  })
  await sameResults(model, { ids: Tensor.int64([1, 2, 7], [1, 3]), x: Tensor.float32([4], [1, 2, 3, 4]) })
  expect(typesOf(model)).toEqual(['int32', 'float32'])
  expect(opsOf(model)).toBe('Add, Cast, 2 Gather')
})

test('Casts to other types read the input itself, one to int32 goes', async () => {
  const model = await draw(({ op, input }) => {
    const mask = input('mask', ['batch', 3], 'int64')
    const float = op.Sub(1, op.Cast(mask, { to: codeOf('float32') }))
    return [float, op.Add(op.Cast(mask, { to: codeOf('int32') }), 1)]
  })
  await sameResults(model, { mask: Tensor.int64([1, 0, 1], [1, 3]) })
  expect(opsOf(model)).toBe('Add, Cast, Sub')
  expect(typesOf(model)).toEqual(['int32'])
})

test('an output that is what a Cast to int32 gives stays', async () => {
  const model = await draw(({ op, input }) => op.Cast(input('ids', [2], 'int64'), { to: codeOf('int32') }))
  await sameResults(model, { ids: Tensor.int64([4, 5], [2]) })
  expect(opsOf(model)).toBe('Cast')
})

test('float and int32 inputs, defaults, and inputs that are outputs stay as they are', async () => {
  const model = buildModel(17, (graph, input) => {
    const ids = input('ids', [2], 'int64')
    const given = input('given', [1], 'int64')
    graph.setInitializer(given, Tensor.int64([3]))
    graph.addOutput(ids)
    const sum = graph.insert({ op: 'Add', inputs: [ids, given] }).output()
    return [sum, graph.insert({ op: 'Relu', inputs: [input('x', [2])] }).output(), input('n', [1], 'int32')]
  })
  const context = passContext()
  expect((await run(model, context)).changes).toBe(0)
  expect(typesOf(model)).toEqual(['int64', 'int64', 'float32', 'int32'])
  expect(context.notes.map(({ message }) => message)).toEqual([
    '"ids" stays int64: it is an output too',
    '"given" stays int64: it has a default value',
  ])
})
