import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readModel } from '../../src/graph/import.ts'
import { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { writeModel } from '../../src/graph/write.ts'
import { ComputedBytes } from '../../src/onnx/bytes.ts'
import { openSession } from '../../src/ort/session.ts'

const folder = mkdtempSync(join(tmpdir(), 'onnx-write-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** y = x + w, with 600 elements in w (over the limit for external data) and a small second constant. */
function addModel(weights: Tensor): Model {
  const model = new Model({ opset: 17 })
  const { graph } = model
  const x = graph.addInput('x', tensorType('float32', [600]))
  const w = graph.addInitializer('w', weights)
  const small = graph.addInitializer('small', Tensor.float32([1], [0.5]))
  const sum = graph.insert({ op: 'Add', inputs: [x, w] }).output()
  const y = graph.insert({ op: 'Add', inputs: [sum, small], outputs: ['y'] }).output()
  y.type = tensorType('float32', [600])
  graph.addOutput(y)
  return model
}

const values = Float32Array.from({ length: 600 }, (_, i) => i)

test('external data: ONNX Runtime finds it, and reading it back gives the same weights', async () => {
  const path = join(folder, 'external.onnx')
  const seen: Record<string, number> = {}
  const files = await writeModel(addModel(Tensor.float32([600], values)), path, {
    external: 'always',
    location: 'external.onnx_data',
    onPiece: (piece, name) => {
      seen[name] = (seen[name] ?? 0) + piece.length
    },
  })
  expect(files.map(({ name, bytes }) => [name, bytes])).toEqual([
    ['', statSync(path).size],
    ['external.onnx_data', 2400],
  ])
  expect(seen).toEqual({ '': statSync(path).size, 'external.onnx_data': 2400 })
  const session = await openSession(path)
  const { y } = await session.run({ x: Tensor.float32([600], values) })
  await session.release()
  expect(y!.toNumbers()).toEqual([...values].map((v) => 2 * v + 0.5))
  const back = [...readModel(path).graph.initializers]
  expect(back.map(({ name, tensor }) => [name, tensor!.isExternal])).toEqual([
    ['w', true],
    ['small', false],
  ])
  expect([...back[0]!.tensor!.float32()]).toEqual([...values])
})

test('a model read with external data is embedded when it fits', async () => {
  const source = join(folder, 'source.onnx')
  await writeModel(addModel(Tensor.float32([600], values)), source, {
    external: 'always',
    location: 'source.onnx_data',
  })
  const path = join(folder, 'embedded.onnx')
  const files = await writeModel(readModel(source), path, { location: 'embedded.onnx_data' })
  expect(files).toHaveLength(1)
  expect([...[...readModel(path).graph.initializers][0]!.tensor!.float32()]).toEqual([...values])
})

test('a failure while writing leaves nothing behind', async () => {
  const failing = Tensor.of(
    'float32',
    [600],
    new ComputedBytes(2400, () => {
      throw new Error('no more')
    }),
  )
  const path = join(folder, 'failed.onnx')
  await expect(
    writeModel(addModel(failing), path, { external: 'always', location: 'failed.onnx_data' }),
  ).rejects.toThrow('no more')
  expect(existsSync(path) || existsSync(join(folder, 'failed.onnx_data'))).toBe(false)
})

test('an existing file is not overwritten', async () => {
  const path = join(folder, 'external.onnx')
  const before = readFileSync(path)
  await expect(writeModel(addModel(Tensor.float32([600], values)), path, { location: 'x' })).rejects.toThrow(/EEXIST/)
  expect(readFileSync(path)).toEqual(before)
})
