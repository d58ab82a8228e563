import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addModel, bigModel, bundleWorker, Project, request } from './support/project.ts'

let worker: { url: URL; remove(): void }
beforeAll(async () => {
  worker = await bundleWorker(join(import.meta.dirname, 'support/worker.ts'))
})
afterAll(() => worker.remove())

describe.each([
  ['a small model', addModel],
  ['a large model', bigModel],
])('%s in a worker', (_, bytes) => {
  test('gives what this thread gives', async () => {
    const project = new Project()
    const file = project.write('m.onnx', bytes())
    const threaded = await project.pipeline({ workers: worker.url }).build(request(file, { stamp: 'a' }))
    expect(threaded.report.passes[0]!.data).toEqual({ thread: true })
    const other = new Project()
    const inline = await other
      .pipeline({ workers: false })
      .build(request(other.write('m.onnx', bytes()), { stamp: 'a' }))
    expect(inline.key).toBe(threaded.key)
    expect(readFileSync(inline.model.file).equals(readFileSync(threaded.model.file))).toBe(true)
    expect(project.ls('staging')).toEqual([])
  })

  test('a hit leaves nothing of a build that was started early', async () => {
    const project = new Project()
    const file = project.write('m.onnx', bytes())
    await project.pipeline({ workers: worker.url }).build(request(file, { stamp: 'a' }))
    const copy = project.write('copy/m.onnx', bytes())
    const pipeline = project.pipeline({ workers: worker.url })
    expect((await pipeline.build(request(copy, { stamp: 'a' }))).report.cache).toBe('hit')
    await pipeline.close()
    expect(project.ls('staging')).toEqual([])
    expect(project.ls('entries')).toHaveLength(1)
  })

  test.each([
    ['throw', 'PASS_FAILED'],
    ['exit', 'WORKER_CRASHED'],
  ])('that ends by %s is one error, and the next build works', async (trouble, code) => {
    const project = new Project()
    const file = project.write('m.onnx', bytes())
    const pipeline = project.pipeline({ workers: worker.url })
    await expect(pipeline.build(request(file, { trouble }, 'src/main.ts'))).rejects.toMatchObject({
      name: 'OnnxError',
      code,
      place: { file, importSite: 'src/main.ts' },
      message: expect.stringContaining('imported by src/main.ts') as string,
    })
    expect((await pipeline.build(request(file, { stamp: 'a' }))).report.cache).toBe('miss')
    expect(project.ls('staging')).toEqual([])
  })

  test('can be called off; others who wait for it go on', async () => {
    const project = new Project()
    const file = project.write('m.onnx', bytes())
    const pipeline = project.pipeline({ workers: worker.url })
    const controller = new AbortController()
    const waiting = pipeline.build({ ...request(file, { trouble: 'wait' }), signal: controller.signal })
    const other = new AbortController()
    const leaving = pipeline.build({ ...request(file, { trouble: 'wait' }), signal: other.signal })
    other.abort()
    await expect(leaving).rejects.toMatchObject({ code: 'ABORTED' })
    const state = await Promise.race([waiting.catch(() => 'failed'), new Promise((r) => setTimeout(r, 300, 'waits'))])
    expect(state).toBe('waits')
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED', place: { file } })
    await pipeline.close()
    expect(project.ls('staging')).toEqual([])
    expect(project.ls('entries')).toEqual([])
  })
})

test('errors keep their class and code on the way from the worker', async () => {
  const project = new Project()
  const file = project.write('m.onnx', 'version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n')
  await expect(project.pipeline({ workers: worker.url }).build(request(file, {}, 'a.ts'))).rejects.toMatchObject({
    name: 'OnnxError',
    code: 'MODEL_GIT_LFS',
    hint: expect.stringContaining('git lfs') as string,
    place: { file, importSite: 'a.ts' },
  })
})

test('many models at once', async () => {
  const project = new Project()
  const pipeline = project.pipeline({ workers: worker.url, concurrency: 2 })
  const files = Array.from({ length: 12 }, (_, i) => project.write(`m${i}.onnx`, addModel(`x${i}`)))
  const artifacts = await Promise.all(files.map((file) => pipeline.build(request(file, { stamp: 'a' }))))
  expect(artifacts.map(({ info }) => info.inputs[0]!.name)).toEqual(files.map((_, i) => `x${i}`))
})
