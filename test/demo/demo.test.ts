import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

test('the demo builds with Vite and measures the bundle', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['scripts/demo/demo.js'], { cwd: root })
  const text = stripVTControlCharacters(stdout)
  const row = (name: string) => {
    const [, size, right] = new RegExp(`${name} +([\\d.]+) kB +[\\d.]+ %  \\((\\d+)/450\\)`).exec(text) ?? []
    return { size: Number(size), right: Number(right) }
  }
  const [cnn, cnnInt8, vit, vitInt8] = ['CNN float32', 'CNN int8', 'ViT float32', 'ViT int8'].map(row)
  expect(cnn!.right).toBeGreaterThanOrEqual(449)
  expect(vit!.right).toBeGreaterThanOrEqual(436)
  // quantization may cost two images of 450
  expect(cnnInt8!.right).toBeGreaterThanOrEqual(cnn!.right - 2)
  expect(vitInt8!.right).toBeGreaterThanOrEqual(vit!.right - 2)
  expect(cnnInt8!.size).toBeLessThan(cnn!.size)
  expect(vitInt8!.size).toBeLessThan(vit!.size / 2)
  expect(text).toMatch(/it says 4, the label says 4/)
})
