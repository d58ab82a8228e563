import { statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inspectModel } from '../../src/report/inspect.ts'
import { writeExternalModel } from '../support/external-model.ts'
import { hasShared, shared } from '../support/shared.ts'
import { temporaryFolder } from '../support/temporary.ts'

test('a model with external data', async () => {
  const folder = temporaryFolder()
  const file = await writeExternalModel(folder, 'm.onnx', 1)
  expect(await inspectModel(file)).toEqual({
    file,
    bytes: statSync(file).size + 2048,
    external: [{ location: 'm.onnx_data', bytes: statSync(join(folder, 'm.onnx_data')).size }],
    inputs: [{ name: 'x', dtype: 'float32', type: 'tensor(float32)', shape: [512] }],
    outputs: [{ name: 'y', dtype: 'float32', type: 'tensor(float32)', shape: [512] }],
    opsets: { '': 21 },
    irVersion: 10,
    producer: '',
    metadata: {},
    ops: { Add: 1 },
    nodes: 1,
    subgraphs: 0,
    functions: [],
    parameters: 512,
    weights: [{ dtype: 'float32', tensors: 1, elements: 512, bytes: 2048 }],
    largest: [{ name: 'w', dtype: 'float32', shape: [512], bytes: 2048, external: true }],
  })
})

test.skipIf(!hasShared)('MiniLM', async () => {
  const result = await inspectModel(shared('own/minilm.onnx'), { top: 1 })
  expect(result).toMatchObject({ nodes: 559, parameters: 22_566_059, ops: { MatMul: 48 }, subgraphs: 0 })
  expect(result.largest[0]).toMatchObject({ dtype: 'float32', shape: [30522, 384] })
})
