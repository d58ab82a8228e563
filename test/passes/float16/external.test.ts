import { join } from 'node:path'
import { expect, test } from 'vitest'
import { convertFloats } from '../../../src/graph/float-data.ts'
import { readModel } from '../../../src/graph/import.ts'
import { writeModel } from '../../../src/graph/write.ts'
import { PiecewiseBytes } from '../../../src/onnx/bytes.ts'
import { toHalf } from '../../support/float16.ts'
import { draw, expectClose, run } from '../../support/rules.ts'
import { temporaryFolder } from '../../support/temporary.ts'

test.each(['float16', 'mixed'] as const)('%s of a model whose weights lie in another file', async (precision) => {
  const drawn = await draw(({ input, op, weight }) => {
    const hidden = op.Tanh(op.MatMul(input('x', ['n', 64]), weight([64, 64], { scale: 0.1 })))
    return op.MatMul(op.Div(op.Mul(hidden, 6e4), 6e4), weight([64, 8], { scale: 0.1 }))
  })
  const file = join(temporaryFolder(), 'model.onnx')
  await writeModel(drawn, file, { location: 'model.onnx_data', external: 'always' })
  const model = readModel(file)
  expect([...model.graph.initializers].some(({ tensor }) => tensor!.isExternal)).toBe(true)
  const expected = await run(model)
  const { data } = await toHalf(model, { precision, file })
  expect([...model.graph.initializers].filter(({ dtype }) => dtype === 'float16').length).toBeGreaterThanOrEqual(2)
  if (precision === 'mixed') expect(data).toMatchObject({ mixed: { runs: 1 } })
  expectClose(await run(model), expected, 5e-3)
})

test('large weights of a file are converted while they are written, to the same halves', async () => {
  const drawn = await draw(({ input, op, weight }) =>
    op.MatMul(input('x', ['n', 300]), weight([300, 500], { scale: 0.1 })),
  )
  const [inMemory, ...none] = [...drawn.graph.initializers]
  expect(none).toEqual([])
  const folder = temporaryFolder()
  const file = join(folder, 'model.onnx')
  await writeModel(drawn, file, { location: 'model.onnx_data', external: 'always' })
  const later = readModel(file)
  await toHalf(later, { file })
  const [weight] = [...later.graph.initializers]
  expect(weight!.tensor!.source).toBeInstanceOf(PiecewiseBytes)
  const result = join(folder, 'half.onnx')
  await writeModel(later, result, { location: 'half.onnx_data' })
  const expected = convertFloats(inMemory!.tensor!, 'float16').bytes()
  expect(Buffer.compare([...readModel(result).graph.initializers][0]!.tensor!.bytes(), expected)).toBe(0)
  // A reader may also want all of it at once, anywhere in memory.
  const whole = new Uint8Array(300_003)
  expect(Buffer.compare((weight!.tensor!.source as PiecewiseBytes).read(whole.subarray(3)), expected)).toBe(0)
})
