import { OnnxError } from '../onnx/errors.ts'
import type { Rule } from '../rewrite/index.ts'
import { biasFastGelu, biasGelu } from './activations/bias-gelu.ts'
import { fastGelu } from './activations/fast-gelu.ts'
import { gelu } from './activations/gelu.ts'
import { geluApproximation } from './activations/gelu-approximation.ts'
import { quickGelu } from './activations/quick-gelu.ts'
import { layerNorm } from './normalizations/layer-norm.ts'
import { layerNormTf } from './normalizations/layer-norm-tf.ts'
import { rmsNorm } from './normalizations/rms-norm.ts'
import { skipLayerNorm, skipLayerNormBias, skipRmsNorm } from './normalizations/skip.ts'
import type { FusionOptions } from './options.ts'

/** Rules that run together to a fixpoint. `group` is the name by which users leave them out, besides the rules' own names. */
export interface Phase {
  readonly group: string
  readonly rules: readonly Rule[]
  /** Phases that run only where these options say so. */
  readonly enabled?: (options: FusionOptions) => boolean
}

/**
 * All fusion rules in the order of their phases. The order matters: norms before the RMS norm hidden in them, attention before
 * the sums around it are taken, biases last, as they go into whatever the sums became.
 */
export const phases: readonly Phase[] = [
  { group: 'layer-norm', rules: [layerNorm, layerNormTf] },
  { group: 'rms-norm', rules: [rmsNorm] },
  { group: 'gelu', rules: [gelu, fastGelu, quickGelu] },
  { group: 'skip-layer-norm', rules: [skipLayerNorm, skipRmsNorm] },
  { group: 'bias-gelu', rules: [biasGelu, biasFastGelu] },
  { group: 'bias-skip-layer-norm', rules: [skipLayerNormBias] },
  { group: 'gelu-approximation', rules: [geluApproximation], enabled: ({ geluApproximation }) => geluApproximation },
]

/**
 * The phases that a user asks for.
 *
 * @param without names of rules and groups to leave out
 * @param only if given, names of the rules and groups to run
 * @throws OnnxError `OPTION_INVALID` for a name that no rule has
 */
export function chosenPhases(
  options: FusionOptions,
  without: readonly string[] = [],
  only: readonly string[] = [],
  all: readonly Phase[] = phases,
): Rule[][] {
  const known = new Set(all.flatMap(({ group, rules }) => [group, ...rules.map(({ name }) => name)]))
  const names = (list: readonly string[]): Set<string> => new Set(list.map((name) => checked(name, known)))
  const [left, wanted] = [names(without), names(only)]
  return all
    .filter(({ enabled }) => enabled?.(options) ?? true)
    .map(({ group, rules }) =>
      rules.filter(({ name }) => {
        const isWanted = !wanted.size || wanted.has(group) || wanted.has(name)
        return isWanted && !left.has(group) && !left.has(name)
      }),
    )
    .filter((rules) => rules.length)
}

/** Rule names are kebab-case; the snake_case that other tools use means the same. */
function checked(name: string, known: ReadonlySet<string>): string {
  const kebab = name.replaceAll('_', '-')
  if (known.has(kebab)) return kebab
  throw new OnnxError('OPTION_INVALID', `no fusion rule is called "${name}"`, {
    hint: `Rules and groups: ${[...known].sort().join(', ')}.`,
  })
}
