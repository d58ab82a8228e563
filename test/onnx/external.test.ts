import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { externalReference, openExternal } from '../../src/onnx/external.ts'

const root = mkdtempSync(join(tmpdir(), 'onnx-external-'))
afterAll(() => rmSync(root, { recursive: true }))
const folder = join(root, 'model')
mkdirSync(join(folder, 'sub'), { recursive: true })
const modelFile = join(folder, 'm.onnx')
writeFileSync(join(root, 'secret.bin'), new Uint8Array(16).fill(9))
writeFileSync(
  join(folder, 'data.bin'),
  Uint8Array.from({ length: 16 }, (_, i) => i),
)
writeFileSync(join(folder, 'sub', 'deep.bin'), new Uint8Array(4).fill(5))
symlinkSync(join(root, 'secret.bin'), join(folder, 'link.bin'))
symlinkSync(root, join(folder, 'out'))
symlinkSync(join(folder, 'data.bin'), join(folder, 'inner.bin'))

const open = (location: string, offset = 0, length = 4): Uint8Array =>
  openExternal({ location, offset, length }, length, 'w', modelFile).read()

describe('data files beside the model', () => {
  test.each([
    ['data.bin', 8, [8, 9, 10, 11]],
    ['./data.bin', 0, [0, 1, 2, 3]],
    ['sub/deep.bin', 0, [5, 5, 5, 5]],
    ['sub/../data.bin', 0, [0, 1, 2, 3]],
    ['inner.bin', 0, [0, 1, 2, 3]],
  ])('%s is read', (location, offset, bytes) => {
    expect([...open(location, offset)]).toEqual(bytes)
  })

  test.each([
    '../secret.bin',
    join(root, 'secret.bin'),
    'link.bin',
    'out/secret.bin',
    'sub/../../secret.bin',
    'C:\\secret.bin',
  ])('%s leads out and is refused', (location) => {
    expect(() => open(location)).toThrow(expect.objectContaining({ code: 'EXTERNAL_DATA_OUTSIDE' }))
  })

  test('missing, cut off, of another size, or a folder', () => {
    expect(() => open('gone.bin')).toThrow(expect.objectContaining({ code: 'EXTERNAL_DATA_MISSING' }))
    expect(() => open('data.bin', 14)).toThrow(expect.objectContaining({ code: 'EXTERNAL_DATA_TRUNCATED' }))
    expect(() => open('sub')).toThrow(expect.objectContaining({ code: 'EXTERNAL_DATA_INVALID' }))
    const other = { location: 'data.bin', offset: 0, length: 4 }
    expect(() => openExternal(other, 8, 'w', modelFile)).toThrow(
      expect.objectContaining({ code: 'EXTERNAL_DATA_INVALID' }),
    )
  })

  test('a model given as bytes has no folder', () => {
    const reference = { location: 'data.bin', offset: 0, length: 4 }
    expect(() => openExternal(reference, 4, 'w', undefined)).toThrow(
      expect.objectContaining({ code: 'EXTERNAL_DATA_NO_FILE' }),
    )
  })

  test.each([
    [[{ key: 'offset', value: '0' }]],
    [
      [
        { key: 'location', value: 'data.bin' },
        { key: 'offset', value: '-1' },
      ],
    ],
    [
      [
        { key: 'location', value: 'data.bin' },
        { key: 'length', value: '1e99' },
      ],
    ],
  ])('entries without sense: %j', (entries) => {
    expect(() => externalReference(entries, 'w', modelFile)).toThrow(
      expect.objectContaining({ code: 'EXTERNAL_DATA_INVALID' }),
    )
  })
})
