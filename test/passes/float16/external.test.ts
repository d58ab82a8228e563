import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { writeModel } from '../../../src/graph/write.ts'
import { toHalf } from '../../support/float16.ts'
import { draw, expectClose, run } from '../../support/rules.ts'
import { temporaryFolder } from '../../support/temporary.ts'

test.each(['float16', 'mixed'] as const)('%s of a model whose weights lie in another file', async (precision) => {
  const drawn = await draw(({ input, op, weight }) => {
    const hidden = op.Tanh(op.MatMul(input('x', ['n', 64]), weight([64, 64], { scale: 0.1 })))
    return op.MatMul(op.Div(op.Mul(hidden, 6e4), 6e4), weight([64, 8], { scale: 0.1 }))
  })
  const file = join(temporaryFolder(), 'model.onnx')
  writeModel(drawn, file, { location: 'model.onnx_data', external: 'always' })
  const model = readModel(file)
  expect([...model.graph.initializers].some(({ tensor }) => tensor!.isExternal)).toBe(true)
  const expected = await run(model)
  const { data } = await toHalf(model, { precision, file })
  expect([...model.graph.initializers].filter(({ dtype }) => dtype === 'float16').length).toBeGreaterThanOrEqual(2)
  if (precision === 'mixed') expect(data).toMatchObject({ mixed: { runs: 1 } })
  expectClose(await run(model), expected, 5e-3)
})
