import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { createOptimizer } from '../../src/api.ts'
import { readAdapter } from '../../src/onnx/adapters/index.ts'
import { deliver } from '../../src/pipeline/index.ts'
import type { Session } from '../../src/runtime/types.ts'
import { writeLoraModel } from '../support/lora-model.ts'
import { readTensors } from '../support/npz.ts'
import { buildArtifact, modelOf } from '../support/open-artifact.ts'
import { hasShared, shared } from '../support/shared.ts'
import { temporaryFolder } from '../support/temporary.ts'

const ones = { x: { data: new Array(8).fill(1), dims: [1, 8] } } as never
const first = async (session: Session) => Object.values(await session.run(ones))[0]!.toFloat32()[0]

describe.skipIf(!hasShared).each(['tiny-lora', 'tiny-lora-llama'])('%s', (name) => {
  const feeds = () =>
    Object.fromEntries(
      [...readTensors(shared(`own/${name}-inputs.npz`))].map(([input, tensor]) => [
        input,
        { data: tensor.toNumbers(), dims: tensor.dims },
      ]),
    ) as never
  const bytes = async (session: Session) => {
    const outputs = Object.values(await session.run(feeds()))
    return outputs.map((output) => Buffer.from(output!.toFloat32().slice().buffer).toString('base64'))
  }

  test.each(['optimize=none', '', 'optimize=clean&fuse=auto', 'dtype=fp16', 'dtype=fp16&keep_io_types=false'])(
    '%s: with the adapter every bit is that of the model as it is',
    async (query) => {
      const external = await buildArtifact(shared(`own/${name}.onnx`), `${query}&adapters=external`)
      const plain = await buildArtifact(shared(`own/${name}.onnx`), query)
      expect(external.info.adapterInputs).toBeUndefined()
      expect(external.info.inputs).toEqual(plain.info.inputs)
      expect(external.model.bytes).toBeLessThan(plain.model.bytes)
      await using session = await modelOf(external)({ adapter: 'default' })
      await using reference = await modelOf(plain)()
      expect(session.adapter).toBe('default')
      expect(await bytes(session)).toEqual(await bytes(reference))
      expect(await bytes(await session.withAdapter(undefined))).not.toEqual(await bytes(reference))
      // Any program finds the first adapter beside the model.
      const raw = await InferenceSession.create(external.model.file)
      await raw.release()
    },
  )
})

describe.each(['onnx_adapter', 'safetensors', 'npz'])('as .%s', (format) => {
  test('each adapter is another file for the same model', async () => {
    const file = writeLoraModel(temporaryFolder())
    const query = `adapters=external&adapter_files=other:other.safetensors&adapter_format=${format}`
    const artifact = await buildArtifact(file, query)
    expect(artifact.adapters.map(({ name, location }) => [name, location])).toEqual([
      [`lora-default.${format}`, `lora-default.${format}`],
      [`lora-other.${format}`, `lora-default.${format}`],
    ])
    const [one, two] = artifact.adapters.map(({ file }) => readAdapter(file).map(({ name, dims }) => [name, dims]))
    // Rank 1 is filled up to that of the other.
    expect(one).toEqual([
      ['proj.lora_A.weight', [8, 2]],
      ['proj.lora_B.weight', [2, 6]],
    ])
    expect(two).toEqual(one)
    await using session = await modelOf(artifact)()
    const names = [undefined, 'default', 'other']
    expect(await Promise.all(names.map(async (name) => first(await session.withAdapter(name))))).toEqual([8, 12, 24])
    expect(await first(session)).toBe(8)
  })
})

test('delivered under another name the model refers to the adapter beside it', async () => {
  const artifact = await buildArtifact(
    writeLoraModel(temporaryFolder()),
    'adapters=external&adapter_files=other:other.safetensors',
  )
  const [model, own, other] = await deliver(artifact, join(temporaryFolder(), 'small.onnx'))
  expect([own, other]).toEqual([
    join(dirname(model!), 'small-default.onnx_adapter'),
    join(dirname(model!), 'small-other.onnx_adapter'),
  ])
  const run = async (options: object) => {
    const session = await InferenceSession.create(model!, options)
    const { y } = await session.run({ x: new OrtTensor('float32', new Float32Array(8).fill(1), [1, 8]) })
    await session.release()
    return y!.data[0]
  }
  expect(await run({})).toBe(12)
  const externalData = [{ path: 'small-default.onnx_adapter', data: readFileSync(other!) }]
  expect(await run({ externalData })).toBe(24)
})

test('the JS API tells what to give ONNX Runtime', async () => {
  const folder = temporaryFolder()
  const optimizer = createOptimizer({ root: folder })
  const options = { adapters: 'external', adapterFiles: { other: 'other.safetensors' }, output: 'out/m.onnx' } as const
  const { file, adapters } = await optimizer.transform(writeLoraModel(folder), options)
  await optimizer.close()
  expect(adapters).toMatchObject([
    { name: 'default', location: 'm-default.onnx_adapter', hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
    { name: 'other', location: 'm-default.onnx_adapter' },
  ])
  const externalData = [{ path: adapters[1]!.location!, data: readFileSync(adapters[1]!.file) }]
  const session = await InferenceSession.create(file, { externalData })
  await session.release()
})

test('packing has nothing to pack', async () => {
  const file = writeLoraModel(temporaryFolder())
  await expect(buildArtifact(file, 'adapters=external&pack')).rejects.toMatchObject({ code: 'OPTION_CONFLICT' })
})
