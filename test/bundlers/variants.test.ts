import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { BUNDLERS } from './bundle.ts'
import { load, models, output } from './output.ts'

interface Variants {
  attribute: { inputs: object[] }
  other: string
  plain: string
  small: string
  globbed(): Promise<Record<string, string>>
}

describe.each(BUNDLERS)('%s', (name) => {
  test('imports that differ in query or attributes are modules of their own; equal ones share an asset', async () => {
    const folder = await output(name, { entry: 'variants.js' })
    const { attribute, other, plain, small, globbed } = await load<Variants>(folder)
    expect(attribute.inputs).toHaveLength(1)
    expect(other).toBe(plain)
    expect(small).not.toBe(plain)
    expect(statSync(fileURLToPath(small)).size).toBeLessThan(statSync(fileURLToPath(plain)).size)
    const all = await globbed()
    expect(Object.keys(all)).toEqual(['../../../fixtures/digits-cnn.onnx', '../../../fixtures/digits-vit.onnx'])
    expect(all['../../../fixtures/digits-cnn.onnx']).toBe(small)
    expect(models(folder)).toHaveLength(3)
  })
})
