import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BUNDLERS } from './bundle.ts'
import { load, output, scratch } from './output.ts'

const root = join(scratch, 'names-app')
const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')

describe.each(BUNDLERS)('%s', (name) => {
  test('folders and models with spaces, accents and signs that mean something in URLs', async () => {
    const folder = join(root, 'ü 1+1=2')
    const model = 'm 100% [x] é.onnx'
    mkdirSync(folder, { recursive: true })
    copyFileSync(digits, join(folder, model))
    const samples = '[{ image: new Float32Array(64).fill(1) }]'
    writeFileSync(join(folder, 'a&b, c.mjs'), `export default ${samples}`)
    const query = 'quantize=static&calibration=a%26b%2C c.mjs'
    writeFileSync(
      join(root, 'main.js'),
      `import digits from './ü 1+1=2/${model}?${query}'
      export const run = async () => (await (await digits()).run({ image: [[new Array(8).fill(new Array(8).fill(1))]] })).logits.dims`,
    )
    const { run } = await load<{ run(): Promise<number[]> }>(await output(name, { root, entry: 'main.js' }))
    expect(await run()).toEqual([1, 10])
  })
})
