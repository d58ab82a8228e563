import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { cacheFolders, SIDECAR, Store } from '../../src/pipeline/index.ts'
import type { Artifact } from '../../src/pipeline/types.ts'
import { addModel, bigModel, Project, request } from './support/project.ts'

const DAY = 86_400_000

/** Lets an entry look as if it was last used some time ago. */
function age(store: Store, key: string, ms: number): void {
  const time = (Date.now() - ms) / 1000
  utimesSync(join(store.entryFolder(key), SIDECAR), time, time)
}

async function built(project: Project, count: number): Promise<Artifact[]> {
  const file = project.write('m.onnx', addModel())
  const stamps = Array.from({ length: count }, (_, i) => String(i))
  return Promise.all(stamps.map((stamp) => project.pipeline().build(request(file, { stamp }))))
}

test('lies in node_modules/.cache of the package that holds the root', () => {
  const project = new Project()
  mkdirSync(project.path('src/deep'), { recursive: true })
  expect(cacheFolders(project.path('src/deep'), undefined)[0]).toBe(project.cache)
  expect(cacheFolders(project.root, 'elsewhere')[0]).toBe(project.path('elsewhere'))
})

test.each<[string, (artifact: Artifact) => void]>([
  ['a model that was cut off', ({ model }) => truncateSync(model.file, model.bytes - 1)],
  [
    'a model with a flipped bit',
    ({ model }) => {
      const bytes = readFileSync(model.file)
      bytes[bytes.length >> 1]! ^= 1
      writeFileSync(model.file, bytes)
    },
  ],
  ['a missing model', ({ model }) => rmSync(model.file)],
  ['a sidecar that was cut off', ({ model }) => truncateSync(join(model.file, '..', SIDECAR), 20)],
  ['an empty sidecar', ({ model }) => truncateSync(join(model.file, '..', SIDECAR), 0)],
  ['a missing sidecar', ({ model }) => rmSync(join(model.file, '..', SIDECAR))],
  [
    'a sidecar of another entry',
    ({ key, model }) => {
      const sidecar = join(model.file, '..', SIDECAR)
      writeFileSync(sidecar, readFileSync(sidecar, 'utf8').replace(key, '0'.repeat(64)))
    },
  ],
  [
    'a sidecar that names files elsewhere',
    ({ model }) => {
      const sidecar = join(model.file, '..', SIDECAR)
      writeFileSync(sidecar, readFileSync(sidecar, 'utf8').replaceAll('"m.onnx"', '"../../../../package.json"'))
    },
  ],
])('%s is found and built again', async (_, damage) => {
  const project = new Project()
  const file = project.write('m.onnx', addModel())
  const first = await project.pipeline().build(request(file, { stamp: 'a' }))
  const bytes = readFileSync(first.model.file)
  damage(first)
  const again = await project.pipeline().build(request(file, { stamp: 'a' }))
  expect(again.report.cache).toBe('miss')
  expect(again.model).toEqual(first.model)
  expect(readFileSync(again.model.file)).toEqual(bytes)
  expect((await project.pipeline().build(request(file, { stamp: 'a' }))).report.cache).toBe('hit')
  expect(project.ls('staging')).toEqual([])
})

test('an entry that was moved here, with new time stamps, is checked and used', async () => {
  const project = new Project()
  const [artifact] = await built(project, 1)
  const { file } = artifact!.model
  const bytes = readFileSync(file)
  rmSync(file)
  writeFileSync(file, bytes)
  const again = await project.pipeline().build(request(project.path('m.onnx'), { stamp: '0' }))
  expect(again.report.cache).toBe('hit')
  expect(project.warnings).toEqual([])
})

test('prunes by age and by size, the least recently used first', async () => {
  const project = new Project()
  const artifacts = await built(project, 4)
  const store = new Store(project.cache)
  for (const [i, { key }] of artifacts.entries()) age(store, key, i * DAY + 1000)
  const keys = artifacts.map(({ key }) => key)
  expect((await store.ls()).map(({ key }) => key)).toEqual(keys)
  const byAge = await store.prune({ maxAge: 2.5 * DAY })
  expect(byAge.removed.map(({ key }) => key)).toEqual([keys[3]])
  const { bytes } = artifacts[0]!.model
  const bySize = await store.prune({ maxBytes: 2 * bytes })
  expect(bySize.removed.map(({ key }) => key)).toEqual([keys[2]])
  expect(bySize.bytes).toBe(2 * bytes)
  expect((await store.ls()).map(({ key }) => key)).toEqual(keys.slice(0, 2))
  await store.clear()
  expect(await store.ls()).toEqual([])
  expect(readdirSync(project.cache)).toEqual([])
})

test('a hit counts as use', async () => {
  const project = new Project()
  const [artifact] = await built(project, 1)
  const store = new Store(project.cache)
  age(store, artifact!.key, 20 * DAY)
  await project.pipeline().build(request(project.path('m.onnx'), { stamp: '0' }))
  expect((await store.prune({ maxAge: DAY })).removed).toEqual([])
})

test('closing prunes by the configured limits', async () => {
  const project = new Project()
  const artifacts = await built(project, 2)
  age(new Store(project.cache), artifacts[0]!.key, 3 * DAY)
  const pipeline = project.pipeline({ cache: { maxAge: DAY } })
  await pipeline.build(request(project.path('m.onnx'), { stamp: 'new' }))
  await pipeline.close()
  expect(project.ls('entries')).not.toContain(artifacts[0]!.key)
  expect(project.ls('entries')).toContain(artifacts[1]!.key)
})

test('what a killed build left is removed once its process is gone', async () => {
  const project = new Project()
  const staging = join(project.cache, 'staging')
  const host = hostname().replace(/[^\w.-]/g, '_')
  const ended = spawn(process.execPath, ['-e', '0'])
  await new Promise((resolve) => ended.on('exit', resolve))
  const old = (Date.now() - 3600_000) / 1000
  const names = {
    dead: `${ended.pid}@${host}-0123456789ab`,
    alive: `${process.pid}@${host}-0123456789ab`,
    elsewhere: `${ended.pid}@otherhost-0123456789ab`,
    fresh: `${ended.pid}@${host}-ba9876543210`,
    ancient: `1@otherhost-ba9876543210`,
  }
  for (const name of Object.values(names)) {
    mkdirSync(join(staging, name), { recursive: true })
    writeFileSync(join(staging, name, 'm.onnx'), 'half')
    const time = name === names.fresh ? Date.now() / 1000 : name === names.ancient ? old - DAY / 500 : old
    utimesSync(join(staging, name), time, time)
  }
  await new Store(project.cache).sweep()
  expect(project.ls('staging')).toEqual([names.alive, names.elsewhere, names.fresh].sort())
})

test('a build that is killed in the middle leaves nothing that a later build could take for its own', async () => {
  const project = new Project()
  const file = project.write('m.onnx', addModel())
  const { key, model } = await project.pipeline().build(request(file, { stamp: 'a' }))
  const store = new Store(project.cache)
  // All states that a kill can leave: a half staged folder, or an entry. Entries appear whole, by one rename.
  const staged = await store.stage()
  writeFileSync(join(staged, 'm.onnx'), readFileSync(model.file).subarray(0, 10))
  rmSync(store.entryFolder(key), { recursive: true })
  const again = await project.pipeline().build(request(file, { stamp: 'a' }))
  expect(again.model).toEqual(model)
  await store.discard(staged)
})

test('two processes that finish the same entry: one is kept, nothing is left over', async () => {
  const project = new Project()
  const [artifact] = await built(project, 1)
  const store = new Store(project.cache)
  const entry = (await store.read(artifact!.key))!
  const staged = await store.stage()
  writeFileSync(join(staged, 'm.onnx'), readFileSync(artifact!.model.file))
  const before = statSync(artifact!.model.file).ino
  expect(await store.commit(staged, entry)).toEqual(entry)
  expect(statSync(artifact!.model.file).ino).toBe(before)
  expect(existsSync(staged)).toBe(false)
})

test.each<[string, (project: Project) => string]>([
  ['is a file', (project) => project.write('cache', 'not a folder')],
  ['is where nothing can be made', () => '/proc/unplugin-onnx'],
  [
    'leads nowhere',
    (project) => {
      symlinkSync('/nowhere/at/all', project.path('cache'))
      return project.path('cache')
    },
  ],
])('a cache folder that %s: the temporary folder serves, with one warning', async (_, prepare) => {
  const project = new Project()
  const dir = prepare(project)
  const file = project.write('m.onnx', addModel(project.root.replace(/\W/g, '')))
  const pipeline = project.pipeline({ cache: { dir } })
  const artifacts = await Promise.all(['a', 'b'].map((stamp) => pipeline.build(request(file, { stamp }))))
  const fallback = cacheFolders(project.root, dir)[1]!
  for (const { model } of artifacts) expect(model.file.startsWith(fallback)).toBe(true)
  expect(project.warnings.map(({ code }) => code)).toEqual(['cache/not-writable'])
  const again = await project.pipeline({ cache: { dir } }).build(request(file, { stamp: 'a' }))
  expect(again.report.cache).toBe('hit')
  for (const { key } of artifacts) await new Store(fallback).evict(key)
})

test.skipIf(process.getuid === undefined)('a temporary folder that others may write is not trusted', async () => {
  const project = new Project()
  const [artifact] = await built(project, 1)
  const { key } = artifact!
  expect(await new Store(project.cache, { shared: true }).read(key)).toBeDefined()
  chmodSync(project.cache, 0o777)
  const store = new Store(project.cache, { shared: true })
  expect(await store.read(key)).toBeUndefined()
  await expect(store.stage()).rejects.toMatchObject({ code: 'EACCES' })
  symlinkSync(project.cache, project.path('link'))
  await expect(new Store(project.path('link'), { shared: true }).stage()).rejects.toMatchObject({ code: 'EACCES' })
})

/** Runs `use` with a file system of this size mounted at `folder`; false where this user may not mount. */
async function withSmallDisk(folder: string, size: string, use: () => Promise<void>): Promise<boolean> {
  mkdirSync(folder)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).status !== 0) return false
  try {
    await use()
  } finally {
    spawnSync('umount', [folder])
  }
  return true
}

test('a full disk is one clear error, and nothing is left', async (context) => {
  const project = new Project()
  const dir = project.path('small')
  const small = project.write('small.onnx', addModel())
  const big = project.write('big.onnx', bigModel())
  const ran = await withSmallDisk(dir, '256k', async () => {
    const pipeline = project.pipeline({ cache: { dir } })
    const requests = [request(small, { stamp: 'x', repeat: 400_000 }, 'a.ts'), request(big, {}, 'b.ts')]
    for (const each of requests) {
      await expect(pipeline.build(each)).rejects.toMatchObject({
        name: 'OnnxError',
        code: 'DISK_FULL',
        place: { file: each.file, importSite: each.importSite },
      })
      expect(project.ls('staging', dir)).toEqual([])
      expect(project.ls('entries', dir)).toEqual([])
    }
    expect((await pipeline.build(request(small))).report.cache).toBe('miss')
    await pipeline.close()
  })
  if (!ran) context.skip('this user may not mount a small file system')
})
