import { expect, test } from 'vitest'
import { fixInputs } from '../../../src/measure/inputs/fixed.ts'
import { draw } from '../../support/rules.ts'

const none = { shapes: new Map(), dimensions: new Map() }
const model = () => draw(({ input, op }) => op.Add(input('x', ['batch', 'length', 4]), input('y', ['batch', 1, 4])))
const shapes = async (sizes: Parameters<typeof fixInputs>[1]) => {
  const own = await model()
  fixInputs(own, sizes)
  return own.graph.inputs.map(({ shape }) => shape)
}

test('sizes by batch, by name and by input', async () => {
  expect(await shapes({ ...none, batch: 3 })).toEqual([
    [3, 'length', 4],
    [3, 1, 4],
  ])
  const dimensions = new Map([['length', 7]])
  expect(await shapes({ ...none, batch: 2, dimensions })).toEqual([
    [2, 7, 4],
    [2, 1, 4],
  ])
  expect((await shapes({ ...none, shapes: new Map([['x', [5, 6, 4]]]) }))[0]).toEqual([5, 6, 4])
})

test('what the model does not have is named, with what it has', async () => {
  await expect(shapes({ ...none, dimensions: new Map([['width', 3]]) })).rejects.toMatchObject({
    code: 'INPUTS_INVALID',
    hint: 'There is batch, length.',
  })
  await expect(shapes({ ...none, shapes: new Map([['z', [1]]]) })).rejects.toThrow(/no input "z"/)
  await expect(shapes({ ...none, shapes: new Map([['x', [1, 2, 5]]]) })).rejects.toThrow(/can't have the shape/)
  await expect(shapes({ ...none, shapes: new Map([['x', [1, 2]]]) })).rejects.toThrow(/can't have the shape/)
})
