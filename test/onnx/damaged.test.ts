import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { graph as graphAttribute } from '../../src/graph/attributes.ts'
import { modelToProto } from '../../src/graph/export.ts'
import { Graph } from '../../src/graph/graph.ts'
import { readModel, readModelBytes } from '../../src/graph/import.ts'
import { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { encodeToBytes } from '../../src/onnx/encode.ts'
import { OnnxError } from '../../src/onnx/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'onnx-damaged-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A model with every kind of part: large and small weights, a subgraph that captures, metadata. */
function sample(): Uint8Array {
  const model = new Model({ opset: 17 })
  const { graph } = model
  model.metadata.set('key', 'value')
  const x = graph.addInput('x', tensorType('float32', ['n', 64]))
  const condition = graph.addInput('condition', tensorType('bool', []))
  const w = graph.addInitializer('w', Tensor.float32([64, 64], new Float32Array(4096).fill(0.5)))
  const y = graph.insert({ op: 'MatMul', inputs: [x, w], name: 'project' }).output()
  const owner = graph.insert({ op: 'If', inputs: [condition], outputs: ['z'] })
  for (const branch of ['then_branch', 'else_branch']) {
    const body = new Graph(model, branch, owner)
    body.addOutput(body.insert({ op: branch === 'then_branch' ? 'Relu' : 'Neg', inputs: [y] }).output())
    owner.attributes.set(branch, graphAttribute(body))
  }
  owner.output().type = tensorType('float32', ['n', 64])
  graph.addOutput(owner.output())
  return encodeToBytes(modelToProto(model))
}

const bytes = sample()

/** Reading either works or throws one OnnxError; nothing else may come out. */
function readsOrRefuses(damaged: Uint8Array, name: string): void {
  const path = join(folder, name)
  writeFileSync(path, damaged)
  for (const read of [() => readModel(path), () => readModelBytes(damaged)]) {
    try {
      read()
    } catch (error) {
      expect(error).toBeInstanceOf(OnnxError)
      expect((error as OnnxError).code).not.toBe('')
    }
  }
}

describe('damaged files', () => {
  test('cut off anywhere', () => {
    for (let length = 0; length < bytes.length; length += length < 600 ? 7 : 331) {
      const path = join(folder, 'cut.onnx')
      writeFileSync(path, bytes.subarray(0, length))
      expect(() => readModel(path), `${length} bytes`).toThrow(OnnxError)
    }
  })

  test('with flipped bits', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(7)), { minLength: 1, maxLength: 8 }), (flips) => {
        const damaged = bytes.slice()
        for (const [at, bit] of flips) damaged[at]! ^= 1 << bit
        readsOrRefuses(damaged, 'flipped.onnx')
      }),
      { numRuns: 400 },
    )
  })

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => readsOrRefuses(noise, 'noise.onnx')),
      { numRuns: 300 },
    )
  })

  test.each([
    ['', 'MODEL_EMPTY'],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n', 'MODEL_GIT_LFS'],
    ['<!DOCTYPE html><html></html>', 'MODEL_NOT_ONNX'],
    ['{"error": "not found"}', 'MODEL_NOT_ONNX'],
    ['PK\u0003\u0004rest of an archive', 'MODEL_NOT_ONNX'],
    ['\u0008\u0000\u0000\u0000ORTMxxxx', 'MODEL_ORT_FORMAT'],
  ])('%j is %s', (text, code) => {
    const path = join(folder, 'impostor.onnx')
    writeFileSync(path, text, 'latin1')
    expect(() => readModel(path)).toThrow(expect.objectContaining({ code }))
  })

  test('a missing file and a folder', () => {
    expect(() => readModel(join(folder, 'nowhere.onnx'))).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }))
    expect(() => readModel(folder)).toThrow(expect.objectContaining({ code: 'MODEL_NOT_READABLE' }))
  })
})
