import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { globSync } from 'tinyglobby'
import { describe, expect, test } from 'vitest'
import { modelToProto } from '../../src/graph/export.ts'
import { readModel } from '../../src/graph/import.ts'
import { encodeToBytes } from '../../src/onnx/encode.ts'
import { hasShared, sharedDir } from '../support/shared.ts'

describe.skipIf(!hasShared)('file to graph and back is the same bytes', () => {
  const files = globSync(['own/*.onnx'], { cwd: sharedDir }).sort()
  test.each(files)('%s', (file) => {
    const path = join(sharedDir, file)
    expect(Buffer.compare(encodeToBytes(modelToProto(readModel(path))), readFileSync(path))).toBe(0)
  })
})
