import { expect, test } from 'vitest'
import { Tensor } from '../../src/graph/tensor.ts'
import { ComputedBytes } from '../../src/onnx/bytes.ts'
import { limitsNote, webgpuLimits } from '../../src/pipeline/limits.ts'
import { draw } from '../support/rules.ts'

const MiB = 2 ** 20

/** A weight of so many MiB whose bytes nobody asks for. */
const large = (mebibytes: number, dtype: 'float32' | 'uint8' = 'float32'): Tensor => {
  const rows = (mebibytes * MiB) / (dtype === 'uint8' ? 1024 : 4096)
  return Tensor.of(dtype, [rows, 1024], new ComputedBytes(mebibytes * MiB, () => new Uint8Array(0)))
}

/** A table of so many MiB that rows are gathered from. */
const gather = (mebibytes: number) =>
  draw(({ input, op, constant }) => op.Gather(constant(large(mebibytes)), input('ids', [4], 'int64')))

test('small models need nothing', async () => {
  expect(webgpuLimits(await gather(256))).toBeUndefined()
})

test('one buffer per tensor, bound in at most as many pieces as a shader has room for', async () => {
  expect(webgpuLimits(await gather(300))).toEqual({ maxBufferSize: 300 * MiB })
  // The table, of 8 bindings less those of the indices and the output: 6 pieces.
  expect(webgpuLimits(await gather(900))).toEqual({
    maxBufferSize: 900 * MiB,
    maxStorageBufferBindingSize: 150 * MiB,
  })
})

test('inputs and results count where their size is fixed', async () => {
  const relu = (size: number | string) => draw(({ input, op }) => op.Relu(input('x', [size])))
  expect(webgpuLimits(await relu(100 * MiB))).toEqual({ maxBufferSize: 400 * MiB })
  expect(webgpuLimits(await relu('n'))).toBeUndefined()
})

test('what stays on the CPU does not count: operators without a kernel, and what follows from constants', async () => {
  const hardmax = await draw(({ input, op, constant }) => op.Hardmax(op.Add(input('x', [1]), constant(large(300)))))
  // The sum is on the device; alone, Hardmax would need nothing.
  expect(webgpuLimits(hardmax)).toEqual({ maxBufferSize: 300 * MiB })
  expect(webgpuLimits(await draw(({ input, op }) => op.Hardmax(input('x', [1, 100 * MiB]))))).toBeUndefined()
  expect(webgpuLimits(await draw(({ op, constant }) => op.Transpose(constant(large(300)))))).toBeUndefined()
})

test('quantized weights are on the device as they are', async () => {
  const model = await draw(({ input, op, constant }) => {
    const weights = constant(large(300, 'uint8'))
    const pair = op.DequantizeLinear(
      weights,
      constant(Tensor.float32([], [1])),
      constant(Tensor.from('uint8', [], [128])),
    )
    return op.Gather(pair, input('ids', [4], 'int64'))
  })
  expect(webgpuLimits(model)?.maxBufferSize).toBe(300 * MiB)
})

test('the report names them', () => {
  expect(limitsNote({ maxBufferSize: 300e6 })).toMatchObject({
    level: 'info',
    message: expect.stringContaining('maxBufferSize of 300 MB'),
  })
})
