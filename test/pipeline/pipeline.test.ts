import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../src/graph/import.ts'
import type { Artifact, BuildProgress } from '../../src/pipeline/types.ts'
import { hasShared, shared } from '../support/shared.ts'
import { addModel, Project, request } from './support/project.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** An artifact without what may differ between a hit and a miss. */
function lasting({ report: { cache: _cache, ms: _ms, ...report }, ...rest }: Artifact): unknown {
  return { ...rest, report }
}

test('what no pass changes is copied byte for byte', async () => {
  const project = new Project()
  const bytes = addModel()
  const file = project.write('m.onnx', bytes)
  const artifact = await project.pipeline().build(request(file))
  expect(readFileSync(artifact.model.file)).toEqual(Buffer.from(bytes))
  expect(artifact.model).toMatchObject({ name: 'm.onnx', bytes: bytes.length, hash: sha256(bytes) })
  expect(artifact).toMatchObject({ external: [], sources: [file] })
  expect(artifact.report).toMatchObject({ input: file, cache: 'miss', passes: [], bytesBefore: bytes.length })
  expect(artifact.info).toMatchObject({
    inputs: [{ name: 'x', dtype: 'float32', type: 'tensor(float32)', shape: ['batch', 4] }],
    ops: { Add: 1 },
  })
})

test('a hit gives the artifact of the miss', async () => {
  const project = new Project()
  const file = project.write('m.onnx', addModel())
  const miss = await project.pipeline().build(request(file, { stamp: 'a' }))
  const hit = await project.pipeline().build(request(file, { stamp: 'a' }))
  expect(miss.report.cache).toBe('miss')
  expect(hit.report.cache).toBe('hit')
  expect(lasting(hit)).toEqual(lasting(miss))
  expect(hit.report).toMatchObject({
    passes: [{ name: 'stamp', changes: 1, data: { thread: false } }],
    fused: { Stamp: 1 },
    notes: [{ code: 'stamp/done' }],
  })
  expect(readModel(hit.model.file).metadata.get('stamp')).toBe('a')
  expect(sha256(readFileSync(hit.model.file))).toBe(hit.model.hash)
})

test('a fresh build gives the same bytes as the one before', async () => {
  const project = new Project()
  const file = project.write('m.onnx', addModel())
  const first = await project.pipeline().build(request(file, { stamp: 'a' }))
  rmSync(project.cache, { recursive: true })
  const second = await project.pipeline().build(request(file, { stamp: 'a' }))
  expect(second.report.cache).toBe('miss')
  const timeless = (artifact: Artifact) => ({
    ...(lasting(artifact) as Artifact),
    report: {
      ...artifact.report,
      cache: '',
      ms: 0,
      passes: artifact.report.passes.map((pass) => ({ ...pass, ms: 0 })),
    },
  })
  expect(timeless(second)).toEqual(timeless(first))
})

test('content decides, not the path or the time', async () => {
  const project = new Project()
  const pipeline = project.pipeline()
  const first = await pipeline.build(request(project.write('a/m.onnx', addModel())))
  const copy = await pipeline.build(request(project.write('b/m.onnx', addModel(), 10)))
  expect(copy).toMatchObject({ key: first.key, report: { cache: 'hit', input: project.path('b/m.onnx') } })
  project.write('a/m.onnx', addModel('z'))
  const changed = await pipeline.build(request(project.path('a/m.onnx')))
  expect(changed.report.cache).toBe('miss')
  expect(changed.info.inputs[0]!.name).toBe('z')
})

test('a file that changes within the resolution of its time stamp is seen', async () => {
  const project = new Project()
  const pipeline = project.pipeline()
  for (const name of ['a', 'b', 'c']) {
    const file = project.path('m.onnx')
    writeFileSync(file, addModel(name))
    expect((await pipeline.build(request(file))).info.inputs[0]!.name).toBe(name)
  }
})

test('files that a pass depends on decide too', async () => {
  const project = new Project()
  const pipeline = project.pipeline()
  const file = project.write('m.onnx', addModel())
  const data = project.write('data.txt', 'one')
  const build = () => pipeline.build(request(file, { include: 'data.txt' }))
  expect((await build()).report.cache).toBe('miss')
  expect(await build()).toMatchObject({ report: { cache: 'hit' }, sources: [file, data] })
  project.write('data.txt', 'two')
  const changed = await build()
  expect(changed.report.cache).toBe('miss')
  expect(readModel(changed.model.file).metadata.get('include')).toBe('two')
  rmSync(data)
  await expect(build()).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', place: { file: data } })
})

test('equal requests at one time share one run', async () => {
  const project = new Project()
  const pipeline = project.pipeline()
  const file = project.write('m.onnx', addModel())
  const copy = project.write('copy/m.onnx', addModel())
  const seen: BuildProgress[] = []
  const other = project.pipeline({ onProgress: (progress) => seen.push(progress) })
  const artifacts = await Promise.all([file, file, copy].map((path) => other.build(request(path, { stamp: 'a' }))))
  expect(new Set(artifacts.map(({ key }) => key)).size).toBe(1)
  expect(seen.filter(({ phase, fraction }) => phase === 'stamp' && fraction === 0.5)).toHaveLength(1)
  // A second pipeline stands for a second process: both may build, and both get a sound artifact.
  const both = await Promise.all([pipeline, other].map((each) => each.build(request(file, { stamp: 'b' }))))
  expect(both[0]!.model).toEqual(both[1]!.model)
  expect(project.ls('entries')).toHaveLength(2)
  expect(project.ls('staging')).toEqual([])
})

test('progress names the file and the phase', async () => {
  const project = new Project()
  const seen: BuildProgress[] = []
  const file = project.write('m.onnx', addModel())
  await project.pipeline({ onProgress: (progress) => seen.push(progress) }).build(request(file, { stamp: 'a' }))
  expect(new Set(seen.map(({ phase }) => phase))).toEqual(new Set(['hash', 'read', 'stamp', 'write']))
  expect(seen.every((progress) => progress.file === file && progress.fraction >= 0 && progress.fraction <= 1)).toBe(
    true,
  )
})

test('without a cache nothing is kept', async () => {
  const project = new Project()
  const pipeline = project.pipeline({ cache: false })
  const artifact = await pipeline.build(request(project.write('m.onnx', addModel())))
  expect(artifact.report.cache).toBe('off')
  expect(readFileSync(artifact.model.file).length).toBe(artifact.model.bytes)
  await pipeline.close()
  expect(() => readFileSync(artifact.model.file)).toThrow()
  expect(project.ls('entries')).toEqual([])
})

test('a closed pipeline can be used again', async () => {
  const project = new Project()
  const pipeline = project.pipeline()
  const file = project.write('m.onnx', addModel())
  await pipeline.build(request(file))
  await pipeline.close()
  expect((await pipeline.build(request(file))).report.cache).toBe('hit')
})

describe.skipIf(!hasShared)('shared models', () => {
  test.each(['own/tiny-bert.onnx', 'own/digits-cnn.onnx'])('%s comes out as it went in', async (name) => {
    const project = new Project()
    const file = project.path(basename(name))
    copyFileSync(shared(name), file)
    const artifact = await project.pipeline().build(request(file))
    expect(sha256(readFileSync(artifact.model.file))).toBe(sha256(readFileSync(file)))
    const encoded = await project.pipeline().build(request(file, { stamp: 'a' }))
    expect(encoded.report.opsAfter).toEqual(encoded.report.opsBefore)
    expect(sha256(readFileSync(encoded.model.file))).toBe(encoded.model.hash)
  })
})
