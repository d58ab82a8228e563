import { join } from 'node:path'
import { globSync } from 'tinyglobby'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { inferTypes } from '../../../src/ort/typing/index.ts'
import { hasShared, sharedDir } from '../../support/shared.ts'

describe.skipIf(!hasShared)('types of the shared models', () => {
  const files = globSync(['own/*.onnx'], { cwd: sharedDir }).sort()
  test.each(files)('%s: every value has an element type', async (file) => {
    const model = readModel(join(sharedDir, file))
    expect((await inferTypes(model)).unknown).toEqual([])
    const untyped = [...model.allNodes()].flatMap(({ outputs }) => outputs).filter((value) => value && !value.dtype)
    expect(untyped.map((value) => value!.name)).toEqual([])
  })
})
