import { OnnxError } from '../../onnx/errors.ts'
import { geluApproximationParam, optimizeParam } from '../params.ts'
import type { Pass } from '../pass.ts'
import { checkOptimizers } from './optimizers.ts'

const params: {
  readonly optimize: typeof optimizeParam
  readonly geluApproximation: typeof geluApproximationParam
  readonly disableOptimizers: {
    readonly type: 'list'
    readonly doc: string
    readonly placeholder: string
  }
} = {
  optimize: optimizeParam,
  geluApproximation: geluApproximationParam,
  disableOptimizers: {
    type: 'list',
    doc: 'Optimizers of ONNX Runtime to leave out with `optimize=basic|extended|all`, by name, e.g. `MatMulAddFusion`',
    placeholder: 'name',
  },
}

/** ONNX Runtime's own offline optimizer. What it gets wrong is found out and left out. */
export const ortOptimize: Pass<typeof params> = {
  name: 'ort-optimize',
  version: 2,
  doc: "Runs ONNX Runtime's offline optimizer at a level, checks the result, and leaves out what it gets wrong",
  params,
  enabled: ({ optimize }) => optimize === 'basic' || optimize === 'extended' || optimize === 'all',
  check({ optimize, disableOptimizers }, device) {
    checkOptimizers(disableOptimizers)
    if (optimize === 'all' && device !== 'cpu')
      throw new OnnxError(
        'OPTION_VALUE',
        `optimize=all fits the processor of this machine only, not the device ${device}`,
        {
          hint: 'Use optimize=extended: it leaves out what the device has no kernel for.',
        },
      )
  },
  lossless: true,
  hardwareDependent: ({ optimize }) => optimize === 'all',
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
