import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { Tensor } from '../../src/graph/tensor.ts'
import { writeModel } from '../../src/graph/write.ts'
import { externalAdapterSet } from '../../src/runtime/external-adapters.ts'
import { defineModel, externalAdapters } from '../../src/runtime/node.ts'
import { writeLoraModel } from '../support/lora-model.ts'
import { buildModel } from '../support/models.ts'
import { buildArtifact, modelOf } from '../support/open-artifact.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { fakeOrt, infoOf, io } from './support/fake-ort.ts'

const list = ['sql', 'chat'].map((name) => ({ name, url: `/${name}`, bytes: 4 }))
const info = infoOf([io('x', 'float32', [1])])

/** A model on an ONNX Runtime that computes nothing; `files` are the bytes of adapters by URL. */
function make(files: Record<string, Uint8Array> = { '/sql': Uint8Array.of(1, 2, 3, 4), '/chat': new Uint8Array(4) }) {
  const ort = fakeOrt(['x'])
  const loads: string[] = []
  const load = async (url: string) => {
    loads.push(url)
    const file = files[url]
    if (!file) throw new Error('gone')
    return file
  }
  const variant = { target: 'cpu', device: 'cpu', info, bytes: 0, url: '/m.onnx', ort: async () => ort }
  const model = defineModel([{ ...variant, adapters: externalAdapterSet(load, 'm.bin', list) }])
  const given = () => ort.created.map(({ options }) => options['externalData'])
  return { model, ort, loads, given, files }
}

test('each adapter has a session, made once and when it is asked for; none is zeros', async () => {
  const { model, loads, given } = make()
  expect(model.adapters).toEqual(['sql', 'chat'])
  const session = await model()
  expect(session).toMatchObject({ adapter: undefined, adapters: ['sql', 'chat'], device: 'cpu' })
  expect([loads, given()]).toEqual([[], [[{ path: 'm.bin', data: new Uint8Array(4) }]]])
  const [one, two] = await Promise.all([session.withAdapter('sql'), session.withAdapter('sql')])
  expect(one).toBe(two)
  expect(one.adapter).toBe('sql')
  expect(await one.withAdapter(undefined)).toBe(session)
  expect(loads).toEqual(['/sql'])
  expect(given()[1]).toEqual([{ path: 'm.bin', data: Uint8Array.of(1, 2, 3, 4) }])
})

test('one that begins with an adapter opens no other', async () => {
  const { model, given } = make()
  const session = await model({ adapter: 'sql' })
  expect(session.adapter).toBe('sql')
  expect(given()).toHaveLength(1)
})

test('disposing of one disposes of all that came out of it, and waits for those that are opening', async () => {
  const { model, ort } = make()
  const other = await model()
  const session = await model()
  const opening = session.withAdapter('chat')
  const sql = await session.withAdapter('sql')
  await sql.dispose()
  await opening
  expect(ort.log.filter((entry) => entry === 'release')).toHaveLength(3)
  for (const one of [session, sql, await opening])
    await expect(one.run({ x: [1] })).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
  await expect(session.withAdapter('sql')).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
  await other.run({ x: [1] })
})

test('what can not be loaded is an error and may be tried again; unknown names load nothing', async () => {
  const { model, given, files } = make({ '/chat': new Uint8Array(3) })
  await expect(model({ adapter: 'none' })).rejects.toMatchObject({
    code: 'ADAPTER_UNKNOWN',
    message: 'no adapter "none"; there is "sql", "chat"',
  })
  expect(given()).toEqual([])
  const session = await model()
  await expect(session.withAdapter('none')).rejects.toMatchObject({ code: 'ADAPTER_UNKNOWN' })
  await expect(session.withAdapter('sql')).rejects.toThrow('gone')
  await expect(session.withAdapter('chat')).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' })
  files['/chat'] = new Uint8Array(4)
  expect(await session.withAdapter('chat')).toMatchObject({ adapter: 'chat' })
})

test('a session that can not be opened is an error of the wrapper, and may be tried again', async () => {
  const { model, ort } = make()
  const session = await model()
  const { create } = ort.InferenceSession
  ort.InferenceSession.create = async () => {
    throw new RangeError('out of memory')
  }
  await expect(session.withAdapter('sql')).rejects.toMatchObject({
    code: 'SESSION_FAILED',
    message: 'no session with the adapter "sql": out of memory',
  })
  ort.InferenceSession.create = create
  expect(await session.withAdapter('sql')).toMatchObject({ adapter: 'sql' })
})

test('models without adapters have none to begin with', async () => {
  const variant = { target: 'cpu', device: 'cpu', info, bytes: 0, url: '/m.onnx', ort: async () => fakeOrt(['x']) }
  const model = defineModel([variant])
  await expect(model({ adapter: 'sql' })).rejects.toMatchObject({ code: 'ADAPTER_UNKNOWN' })
  const session = await model()
  expect(await session.withAdapter(undefined)).toMatchObject({ adapter: undefined, adapters: [] })
})

test('bytes that the build did not know are given as options of the session', async () => {
  const file = writeLoraModel(temporaryFolder())
  const { adapters, ...artifact } = await buildArtifact(file, 'adapters=external&adapter_files=other:other.safetensors')
  const model = modelOf({ ...artifact, adapters: adapters.slice(0, 1) })
  expect(model.adapters).toEqual(['default'])
  const externalData = [{ path: adapters[0]!.location!, data: readFileSync(adapters[1]!.file) }]
  await using session = await model({ session: { externalData } })
  const { y } = (await session.run({ x: { data: new Array(8).fill(1), dims: [1, 8] } } as never)) as never
  expect((y as { data: Float32Array }).data[0]).toBe(24)
})

test('a base with external data of its own gets both', async () => {
  const folder = temporaryFolder()
  const fill = (value: number) => Tensor.float32([512], new Float32Array(512).fill(value))
  const model = buildModel(21, (graph, input) => {
    const base = graph.insert({ op: 'Add', inputs: [input('x', [512]), graph.addInitializer('base', fill(10))] })
    return [graph.insert({ op: 'Add', inputs: [base.output(), graph.addInitializer('adapter', fill(0))] }).output()]
  })
  const path = join(folder, 'm.onnx')
  const placed = new Map([['adapter', { location: 'sql.bin', offset: 8 }]])
  const [, data] = await writeModel(model, path, { external: 'always', location: 'm.onnx_data', placed })
  writeFileSync(join(folder, 'sql.bin'), new Uint8Array([...new Uint8Array(8), ...fill(100).bytes()]))
  const url = (file: string) => pathToFileURL(file).href
  const open = defineModel([
    {
      target: 'cpu',
      device: 'cpu',
      info: infoOf([io('x', 'float32', [512])], [io('Add_1_output', 'float32', [512])]),
      bytes: 0,
      url: url(path),
      ort: () => import('onnxruntime-node'),
      external: [{ path: data!.name, bytes: data!.bytes, url: url(data!.path) }],
      adapters: externalAdapters('sql.bin', [{ name: 'sql', url: url(join(folder, 'sql.bin')), bytes: 2056 }]),
    },
  ])
  await using session = await open()
  const run = async (one: typeof session) =>
    Object.values(await one.run({ x: new Float32Array(512) }))[0]!.toFloat32()[511]
  expect(await run(session)).toBe(10)
  expect(await run(await session.withAdapter('sql'))).toBe(110)
})
