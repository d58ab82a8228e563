import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { modelToProto } from '../../src/graph/export.ts'
import { readModel } from '../../src/graph/import.ts'
import { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { encodeToBytes } from '../../src/onnx/encode.ts'
import type { AnyPass } from '../../src/passes/pass.ts'
import type { Artifact } from '../../src/pipeline/types.ts'
import { addModel, bigModel, Project, request } from './support/project.ts'

/** A model whose only weight, 1024 floats, lies in `location`. */
function externalModel(location: string, count = 1024): Uint8Array {
  const model = new Model({ irVersion: 8, opset: 17 })
  const weight = model.graph.addInitializer('w', Tensor.float32([count], new Float32Array(count)))
  const { graph } = model
  graph.addOutput(graph.insert({ op: 'Identity', inputs: [weight], outputs: ['y'] }).output())
  const proto = modelToProto(model)
  const [tensor] = proto.graph!.initializer!
  const { rawData: _, ...rest } = tensor!
  const externalData = [{ key: 'location', value: location }]
  proto.graph!.initializer = [{ ...rest, dataLocation: 1, externalData }]
  return encodeToBytes(proto)
}

const truncated = (): Uint8Array => addModel().subarray(0, -7)

test.each<[string, string, (project: Project) => string]>([
  ['a cut off model', 'MODEL_', (project) => project.write('m.onnx', truncated())],
  ['a cut off large model', 'MODEL_', (project) => project.write('m.onnx', bigModel().subarray(0, 4_500_000))],
  ['an empty file', 'MODEL_EMPTY', (project) => project.write('m.onnx', '')],
  [
    'a Git LFS pointer',
    'MODEL_GIT_LFS',
    (project) => project.write('m.onnx', 'version https://git-lfs.github.com/spec/v1\n'),
  ],
  ['an HTML page', 'MODEL_NOT_ONNX', (project) => project.write('m.onnx', '<!DOCTYPE html><html></html>')],
  ['JSON', 'MODEL_NOT_ONNX', (project) => project.write('m.onnx', '{"error": "not found"}')],
  ['another protobuf', 'MODEL_', (project) => project.write('m.onnx', Uint8Array.of(0x0a, 0x03, 0x61, 0x62, 0x63))],
  [
    'noise',
    'MODEL_',
    (project) =>
      project.write(
        'm.onnx',
        Uint8Array.from({ length: 999 }, (_, i) => (i * 179 + 83) & 255),
      ),
  ],
  ['a missing file', 'MODEL_NOT_FOUND', (project) => project.path('nothing.onnx')],
  ['a file below a file', 'MODEL_NOT_FOUND', (project) => `${project.write('a', 'x')}/m.onnx`],
  [
    'a folder',
    'MODEL_IS_FOLDER',
    (project) => {
      mkdirSync(project.path('m.onnx'))
      return project.path('m.onnx')
    },
  ],
  [
    'a link in a circle',
    'MODEL_NOT_',
    (project) => {
      symlinkSync(project.path('m.onnx'), project.path('m.onnx'))
      return project.path('m.onnx')
    },
  ],
  ['missing external data', 'EXTERNAL_DATA_MISSING', (project) => project.write('m.onnx', externalModel('w.bin'))],
  [
    'external data that is too short',
    'EXTERNAL_DATA_TRUNCATED',
    (project) => {
      project.write('w.bin', Buffer.alloc(100))
      return project.write('m.onnx', externalModel('w.bin'))
    },
  ],
  [
    'external data above the folder',
    'EXTERNAL_DATA_OUTSIDE',
    (project) => {
      project.write('w.bin', Buffer.alloc(4096))
      return project.write('sub/m.onnx', externalModel('../w.bin'))
    },
  ],
  [
    'external data by absolute path',
    'EXTERNAL_DATA_OUTSIDE',
    (project) => project.write('m.onnx', externalModel(project.write('w.bin', Buffer.alloc(4096)))),
  ],
  [
    'external data behind a link',
    'EXTERNAL_DATA_OUTSIDE',
    (project) => {
      const file = project.write('sub/m.onnx', externalModel('w.bin'))
      symlinkSync(project.write('w.bin', Buffer.alloc(4096)), project.path('sub/w.bin'))
      return file
    },
  ],
])('%s is one error with file and import site', async (_, code, prepare) => {
  const project = new Project()
  const file = prepare(project)
  for (const params of [{}, { stamp: 'a' }])
    await expect(project.pipeline().build(request(file, params, 'src/main.ts'))).rejects.toMatchObject({
      name: 'OnnxError',
      code: expect.stringMatching(`^${code}`) as string,
      place: { file, importSite: 'src/main.ts' },
      hint: expect.any(String) as string,
    })
  expect([...project.ls('entries'), ...project.ls('staging')]).toEqual([])
})

test('a flipped bit or a cut anywhere: it builds, or is an OnnxError', async () => {
  const project = new Project()
  const good = addModel()
  const pipeline = project.pipeline({ cache: false })
  const outcomes = { built: 0, refused: 0 }
  const attempt = async (bytes: Uint8Array) => {
    await pipeline.build(request(project.write('m.onnx', bytes), { stamp: 'a' })).then(
      () => outcomes.built++,
      (error: Error & { code: string }) => {
        expect(error).toMatchObject({ name: 'OnnxError' })
        expect(error.code).not.toBe('INTERNAL')
        outcomes.refused++
      },
    )
  }
  for (let bit = 0; bit < good.length * 8; bit += 3) {
    const bytes = Uint8Array.from(good)
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    await attempt(bytes)
  }
  for (let length = 0; length < good.length; length++) await attempt(good.subarray(0, length))
  expect(outcomes.refused).toBeGreaterThan(100)
})

test('one failed build tells each importer its own import site', async () => {
  const project = new Project()
  const file = project.write('m.onnx', '')
  const pipeline = project.pipeline()
  const errors = await Promise.all(
    ['a.ts', 'b.ts'].map((site) => pipeline.build(request(file, {}, site)).catch((error: unknown) => error)),
  )
  expect(errors).toMatchObject([{ place: { importSite: 'a.ts' } }, { place: { importSite: 'b.ts' } }])
})

test('a failed build is tried again', async () => {
  const project = new Project()
  const pipeline = project.pipeline()
  const file = project.write('m.onnx', truncated())
  await expect(pipeline.build(request(file))).rejects.toThrow('MODEL_')
  project.write('m.onnx', addModel())
  expect((await pipeline.build(request(file))).report.cache).toBe('miss')
})

test('a pass that fails is named', async () => {
  const project = new Project()
  const build = project.pipeline().build(request(project.write('m.onnx', addModel()), { trouble: 'throw' }, 'a.ts'))
  await expect(build).rejects.toMatchObject({
    code: 'PASS_FAILED',
    message: expect.stringContaining('"trouble"') as string,
  })
  expect(project.ls('staging')).toEqual([])
})

/** A pass during which the model file changes, as often as `times`. */
function meddling(file: string, times: number): AnyPass {
  let left = times
  return {
    name: 'meddling',
    version: 1,
    doc: 'For tests.',
    lossless: true,
    params: {},
    enabled: () => true,
    async run(model) {
      if (left-- > 0) {
        await sleep(5)
        writeFileSync(file, addModel(`x${left}`))
      }
      model.metadata.set('seen', model.graph.inputs[0]!.name)
      return { changes: 1 }
    },
  }
}

test('a model that changes during its build is built again from what it is then', async () => {
  const project = new Project()
  const file = project.write('m.onnx', addModel())
  const artifact = await project.pipeline({ passes: [meddling(file, 2)] }).build(request(file))
  expect(artifact.info.inputs[0]!.name).toBe('x0')
  expect(readModel(artifact.model.file).metadata.get('seen')).toBe('x0')
  expect(project.ls('entries')).toHaveLength(1)
})

test('a model that never stands still is an error', async () => {
  const project = new Project()
  const file = project.write('m.onnx', addModel())
  const build = project.pipeline({ passes: [meddling(file, 9)] }).build(request(file))
  await expect(build).rejects.toMatchObject({ code: 'MODEL_CHANGED', place: { file } })
  expect([...project.ls('entries'), ...project.ls('staging')]).toEqual([])
})

test('external data belongs to the content, stays outside when nothing changes, and moves in otherwise', async () => {
  const project = new Project()
  const pipeline = project.pipeline()
  const file = project.write('m.onnx', externalModel('w.bin'))
  const data = project.write('w.bin', Buffer.alloc(4096, 1))
  const build = (params = {}): Promise<Artifact> => pipeline.build(request(file, params))
  const copy = await build()
  expect(copy.sources).toEqual([file, data])
  expect(copy.external).toMatchObject([{ name: 'w.bin', bytes: 4096 }])
  expect(readFileSync(copy.external[0]!.file).equals(readFileSync(data))).toBe(true)
  expect(readModel(copy.model.file).graph.outputs).toHaveLength(1)
  expect(copy.report.bytesBefore).toBe(copy.model.bytes + 4096)
  expect(await build()).toMatchObject({ key: copy.key, report: { cache: 'hit' } })
  project.write('w.bin', Buffer.alloc(4096, 2))
  const changed = await build()
  expect(changed.key).not.toBe(copy.key)
  expect(changed.report.cache).toBe('miss')
  const single = await build({ stamp: 'a' })
  expect(single.external).toEqual([])
  rmSync(data)
  const [weight] = readModel(single.model.file).graph.initializers
  expect(new Set(weight!.tensor!.bytes())).toEqual(new Set([2]))
})

test('a data file that becomes a link out of the folder is not taken from memory', async () => {
  const project = new Project()
  const pipeline = project.pipeline()
  const file = project.write('sub/m.onnx', externalModel('w.bin'))
  const inside = project.write('sub/w.bin', Buffer.alloc(4096, 1))
  await pipeline.build(request(file))
  rmSync(inside)
  symlinkSync(project.write('w.bin', Buffer.alloc(4096, 1)), inside)
  await expect(pipeline.build(request(file))).rejects.toMatchObject({ code: 'EXTERNAL_DATA_OUTSIDE' })
})

test('a data file in a folder of its own is embedded, as an asset has no folders', async () => {
  const project = new Project()
  const file = project.write('m.onnx', externalModel('data/w.bin'))
  project.write('data/w.bin', Buffer.alloc(4096, 3))
  const artifact = await project.pipeline().build(request(file))
  expect(artifact.external).toEqual([])
  expect(readModel(artifact.model.file).graph.initializers.size).toBe(1)
})
