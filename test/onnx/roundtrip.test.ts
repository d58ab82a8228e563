import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { globSync } from 'tinyglobby'
import { describe, expect, test } from 'vitest'
import { decodeFile, decodeModel } from '../../src/onnx/decode.ts'
import { encodeToBytes } from '../../src/onnx/encode.ts'
import { hasShared, sharedDir } from '../support/shared.ts'

describe.skipIf(!hasShared)('decode then encode of the shared models', () => {
  const files = globSync(['own/*.onnx', 'real/*.onnx', 'issues/*.onnx', 'fusion/*.onnx'], { cwd: sharedDir }).sort()
  test.each(files)('%s', (file) => {
    const path = join(sharedDir, file)
    const original = readFileSync(path)
    expect(Buffer.compare(encodeToBytes(decodeModel(original)), original)).toBe(0)
    expect(Buffer.compare(encodeToBytes(decodeFile(path)), original)).toBe(0)
  })
})
