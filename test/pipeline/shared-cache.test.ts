import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { createStorage } from 'unstorage'
import fsDriver from 'unstorage/drivers/fs'
import fsLiteDriver from 'unstorage/drivers/fs-lite'
import memoryDriver from 'unstorage/drivers/memory'
import redisDriver from 'unstorage/drivers/redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RemoteStorage } from '../../src/options/index.ts'
import { RemoteCache } from '../../src/pipeline/cache/remote.ts'
import type { Artifact } from '../../src/pipeline/types.ts'
import { bigModel, Project, request } from './support/project.ts'

/** Three pieces of 4 MiB, the last one shorter. */
const model = bigModel(9 << 20)

/** A machine of a team: a project of its own, and the storage of all. */
class Machine extends Project {
  async build(storage: RemoteStorage): Promise<Artifact> {
    const pipeline = this.pipeline({ cache: { storage } })
    const artifact = await pipeline.build(request(this.write('m.onnx', model), { stamp: 'a' }))
    await pipeline.close()
    return artifact
  }
}

/** What one machine built another gets, whatever the storage. `open` gives a new connection to one storage. */
async function expectSharing(open: () => RemoteStorage): Promise<Artifact> {
  const [one, two] = [new Machine(), new Machine()]
  const first = await one.build(open())
  const second = await two.build(open())
  expect([first.report.cache, second.report.cache]).toEqual(['miss', 'hit'])
  expect({ ...second.model, file: '' }).toEqual({ ...first.model, file: '' })
  expect(second.info).toEqual(first.info)
  expect(second.report.passes).toEqual(first.report.passes)
  expect(readFileSync(second.model.file).equals(readFileSync(first.model.file))).toBe(true)
  expect([...one.warnings, ...two.warnings]).toEqual([])
  expect([...one.ls('staging'), ...two.ls('staging')]).toEqual([])
  expect((await two.build(open())).report.cache).toBe('hit')
  return first
}

test('fs driver: files in pieces, and the sidecar', async () => {
  const base = new Project().path('shared')
  const { key, model } = await expectSharing(() => fsDriver({ base }))
  expect(readdirSync(`${base}/${key}`).sort()).toEqual([model.hash, 'entry'].sort())
  expect(readdirSync(`${base}/${key}/${model.hash}`).sort()).toEqual(['0', '1', '2'])
})

test('fs-lite driver', async () => {
  const base = new Project().path('shared')
  await expectSharing(() => fsLiteDriver({ base }))
})

test('a storage of the user, which stays open', async () => {
  const storage = createStorage({ driver: memoryDriver() })
  const { key } = await expectSharing(() => storage)
  expect(await storage.hasItem(`${key}:entry`)).toBe(true)
})

const hasRedis = spawnSync('redis-server', ['--version']).status === 0

describe.skipIf(!hasRedis)('Redis', () => {
  let server: ChildProcess
  let port: number
  beforeAll(async () => {
    port = await freePort()
    server = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'])
    await new Promise<void>((resolve) =>
      server.stdout!.on('data', (text) => String(text).includes('Ready to accept') && resolve()),
    )
  })
  afterAll(() => server.kill())

  test('shares what one machine built', async () => {
    await expectSharing(() => redisDriver({ host: '127.0.0.1', port, base: 'onnx' }))
  })

  test('that is not there costs a warning, not the build', async () => {
    const machine = new Machine()
    const nowhere = await freePort()
    const driver = redisDriver({ host: '127.0.0.1', port: nowhere, maxRetriesPerRequest: 1, retryStrategy: () => 50 })
    driver.getInstance!().on('error', () => {})
    expect((await machine.build(driver)).report.cache).toBe('miss')
    expect(machine.warnings.map(({ code }) => code)).toEqual(['cache/shared-failed'])
  })
})

test.each<[string, (base: string, artifact: Artifact) => void]>([
  ['changed', (base, { key, model }) => writeFileSync(`${base}/${key}/${model.hash}/1`, Buffer.alloc(4 << 20, 1))],
  ['cut off', (base, { key, model }) => writeFileSync(`${base}/${key}/${model.hash}/2`, 'x')],
  ['with a broken sidecar', (base, { key }) => writeFileSync(`${base}/${key}/entry`, '{"key":')],
])('an entry that somebody %s is not used, and is replaced', async (_, damage) => {
  const base = new Project().path('shared')
  const first = await new Machine().build(fsDriver({ base }))
  damage(base, first)
  const second = await new Machine().build(fsDriver({ base }))
  expect(second.report.cache).toBe('miss')
  expect(second.model.hash).toBe(first.model.hash)
  expect((await new Machine().build(fsDriver({ base }))).report.cache).toBe('hit')
})

test('a storage that fails or never answers costs a warning, not the build', async () => {
  const failing = createStorage({ driver: memoryDriver() })
  failing.getItemRaw = () => Promise.reject(new Error('connection lost'))
  const machine = new Machine()
  expect((await machine.build(failing)).report.cache).toBe('miss')
  expect(machine.warnings).toMatchObject([
    { code: 'cache/shared-failed', message: expect.stringContaining('connection lost') as string },
  ])
  const silent = createStorage({ driver: memoryDriver() })
  silent.getItemRaw = () => new Promise(() => {})
  await expect(new RemoteCache(silent, 50).fetch('0', '/nowhere')).rejects.toThrow('no answer within 0.05 s')
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
