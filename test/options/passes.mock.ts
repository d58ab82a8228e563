import { OnnxError } from '../../src/onnx/errors.ts'
import type { ParamTable } from '../../src/params/spec.ts'
import type { AnyPass } from '../../src/passes/pass.ts'

/** Passes for tests of options: no matter what the project registers, these have one parameter of every kind. */
function pass(name: string, params: ParamTable, extra: Partial<AnyPass> & Pick<AnyPass, 'enabled'>): AnyPass {
  return { name, version: 1, doc: '', lossless: false, params, run: () => ({ changes: 0 }), ...extra }
}

const quantize = { type: 'enum', doc: 'How to quantize', values: ['dynamic', 'static'] } as const

export const passes: readonly AnyPass[] = [
  pass(
    'clean',
    { optimize: { type: 'enum', doc: '', values: ['none', 'clean'], default: 'clean' } },
    {
      enabled: (options) => options['optimize'] !== 'none',
    },
  ),
  pass('shape', { shape: { type: 'map', doc: '' } }, { enabled: (options) => options['shape'] !== undefined }),
  pass(
    'dynamic',
    {
      quantize,
      weightType: { type: 'enum', doc: '', values: ['auto', 'int8', 'uint8'], default: 'auto' },
      perChannel: { type: 'boolean', doc: '', default: false },
      reduceRange: { type: 'boolean', doc: '', default: false },
      verbose: { type: 'boolean', doc: '', default: false, presentation: true },
    },
    {
      version: 3,
      enabled: (options) => options['quantize'] === 'dynamic',
      check: (_, device) => {
        if (device === 'webgpu') throw new OnnxError('DEVICE', 'webgpu has no MatMulInteger')
      },
    },
  ),
]
export const allPasses: readonly AnyPass[] = passes
