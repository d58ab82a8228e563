import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type AdapterDefinition, type AdapterSet, adapterSet } from '../../src/runtime/adapters.ts'
import { OnnxSessionError } from '../../src/runtime/error.ts'
import { defineModel, adapters as nodeAdapters } from '../../src/runtime/node.ts'
import type { ModelOptions } from '../../src/runtime/types.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { type FakeOrt, fakeOrt, infoOf, io } from './support/fake-ort.ts'

const weight = io('q.lora_A.weight', 'float32', [2, 'lora_r'])
const half = io('q.lora_B.weight', 'float16', ['lora_r', 1])
const inputs = [weight, half]
// One byte, then two floats, then one half: nothing is aligned.
const file = new Uint8Array([7, ...new Uint8Array(Float32Array.of(1.5, -2).buffer), 0x34, 0x12])
const definition: AdapterDefinition = {
  name: 'sql',
  url: '/sql',
  bytes: file.length,
  tensors: [
    [1, 2, 1],
    [9, 1, 1],
  ],
}

function sessionOf(ort: FakeOrt, set: AdapterSet | undefined, options?: ModelOptions) {
  const info = infoOf([io('x', 'float32', [1])])
  const variant = { target: 'cpu', device: 'cpu', info, bytes: 0, url: 'm.onnx', ort: async () => ort }
  return defineModel([{ ...variant, ...(set && { adapters: set }) }])(options)
}

test('weights are read where they lie, once, and fed with each run', async () => {
  const ort = fakeOrt(['x'])
  let loads = 0
  const load = async () => {
    loads++
    return file
  }
  const session = await sessionOf(ort, adapterSet(load, inputs, [definition]))
  expect(session).toMatchObject({ adapters: ['sql'], adapter: undefined })
  await session.run({ x: [1] })
  expect(ort.fed['q.lora_A.weight']).toMatchObject({ type: 'float32', dims: [2, 1], data: Float32Array.of(0, 0) })
  expect(loads).toBe(0)
  const [one, two] = await Promise.all([session.withAdapter('sql'), session.withAdapter('sql')])
  expect(one.adapter).toBe('sql')
  await one.run({ x: [1] })
  const fed = { ...ort.fed }
  expect(fed['q.lora_A.weight']).toMatchObject({ dims: [2, 1], data: Float32Array.of(1.5, -2) })
  expect(fed['q.lora_B.weight']).toMatchObject({ type: 'float16', dims: [1, 1], data: Uint16Array.of(0x1234) })
  await two.run({ x: [1] })
  expect(ort.fed['q.lora_A.weight']).toBe(fed['q.lora_A.weight'])
  expect(loads).toBe(1)
  await (await one.withAdapter(undefined)).run({ x: [1] })
  expect(ort.fed['q.lora_A.weight']).toMatchObject({ data: Float32Array.of(0, 0) })
  await one.dispose()
  await expect(session.withAdapter('sql')).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
})

test('a name that is not there', async () => {
  const session = await sessionOf(
    fakeOrt(['x']),
    adapterSet(async () => file, inputs, [definition]),
  )
  await expect(session.withAdapter('toString')).rejects.toMatchObject({
    code: 'ADAPTER_UNKNOWN',
    message: 'no adapter "toString"; there is "sql"',
  })
  const plain = await sessionOf(fakeOrt(['x']), undefined)
  expect(plain.adapters).toEqual([])
  await expect(plain.withAdapter('sql')).rejects.toMatchObject({ code: 'ADAPTER_UNKNOWN' })
})

test('what can not be loaded, or is another file, is an error and may be tried again', async () => {
  const url = join(temporaryFolder(), 'sql.npz')
  const session = await sessionOf(fakeOrt(['x']), nodeAdapters(inputs, [{ ...definition, url }]))
  await expect(session.withAdapter('sql')).rejects.toBeInstanceOf(OnnxSessionError)
  writeFileSync(url, file.subarray(1))
  await expect(session.withAdapter('sql')).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' })
  writeFileSync(url, file)
  expect(await session.withAdapter('sql')).toMatchObject({ adapter: 'sql' })
})
