import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { Versus } from '../../../src/measure/versus.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { run as fuse } from '../../../src/passes/fuse/run.ts'
import { toHalf } from '../../support/float16.ts'
import { passContext } from '../../support/models.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { readableModels } from '../../support/shared-cases.ts'

const NAMES = /\/tiny-(bert|llama-past|unet)\.onnx$/

describe.skipIf(!hasShared)('fused for a GPU and in float16, every result rounded', () => {
  const cases = readableModels(['own'])
    .filter((name) => NAMES.test(name))
    .flatMap((name) => ['cuda', 'webgpu'].map((device) => [name, device] as const))
  test.each(cases)('%s for %s', async (name, device) => {
    const file = shared(name)
    const model = readModel(file)
    await createOrtService().inferTypes(model)
    await fuse(model, { fuse: 'auto' } as Parameters<typeof fuse>[1], passContext({ file, device }))
    const precision = device === 'cuda' ? 'mixed' : 'float16'
    const { data } = await toHalf(model, { device, file, precision })
    const float = Object.keys((data as { float32Ops: object }).float32Ops)
    expect(float.filter((op) => op.startsWith('com.microsoft'))).toEqual([])
    const versus = await Versus.open(file, model, true)
    const compared = versus.compare({ files: [], samples: 1, tolerance: { rtol: 0, atol: 0 } })
    const { outputs } = await compared.finally(() => versus.close())
    for (const row of outputs) if (row.maxAbs > 1e-6) expect(row.cosine, row.name).toBeGreaterThan(0.999)
  })
})
