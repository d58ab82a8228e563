import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { Tensor } from '../../src/graph/tensor.ts'
import { buildModel, bytesOf } from '../support/models.ts'
import { BUNDLERS } from './bundle.ts'
import { load, output, scratch } from './output.ts'

const root = join(scratch, 'image-app')
/** The bytes of a PNG of one colour. */
const png = (red: number, green: number, blue: number) =>
  sharp({ create: { width: 20, height: 30, channels: 3, background: { r: red, g: green, b: blue } } })
    .png()
    .toBuffer()

beforeAll(() => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  cpSync(join(import.meta.dirname, 'image-app'), root, { recursive: true })
  writeFileSync(join(root, 'labels.txt'), 'red\ngreen\nblue\n')
  const model = buildModel(18, (graph, input) => {
    const axes = graph.addInitializer('axes', Tensor.int64([2, 3]))
    const mean = graph.insert({ op: 'ReduceMean', inputs: [input('x', ['n', 3, 8, 8]), axes] }).output()
    return [graph.insert({ op: 'Squeeze', inputs: [mean, axes], outputs: ['y'] }).output()]
  })
  writeFileSync(join(root, 'image.onnx'), bytesOf(model))
})

describe.each(BUNDLERS)('images with %s', (name) => {
  test('files are read in Node, where the output finds sharp', async () => {
    const folder = await output(name, { root, entry: 'main.js' })
    const { answers } = await load<{ answers(files: Buffer[]): Promise<unknown> }>(folder)
    expect(await answers([await png(9, 200, 9), await png(9, 9, 200)])).toEqual(['green', ['green', 'blue']])
  })
})
