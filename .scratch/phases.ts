import { gelu } from '../src/rules/activations/gelu.ts'
import { fastGelu } from '../src/rules/activations/fast-gelu.ts'
import { quickGelu } from '../src/rules/activations/quick-gelu.ts'
import { biasGelu, biasFastGelu } from '../src/rules/activations/bias-gelu.ts'
import { layerNorm } from '../src/rules/normalizations/layer-norm.ts'
import { layerNormTf } from '../src/rules/normalizations/layer-norm-tf.ts'
import { rmsNorm } from '../src/rules/normalizations/rms-norm.ts'
import { skipLayerNorm, skipRmsNorm, skipLayerNormBias } from '../src/rules/normalizations/skip.ts'
export const phases = [[layerNorm, layerNormTf, rmsNorm, gelu, fastGelu, quickGelu], [skipLayerNorm, skipRmsNorm], [biasGelu, biasFastGelu, skipLayerNormBias]]
