import type { Model } from '../../../graph/model.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import type { PassContext } from '../../pass.ts'
import type { Calibration } from '../calibrate/index.ts'
import { run as runDynamic } from '../dynamic/run.ts'
import type { DynamicOptions } from '../dynamic/tools.ts'
import type { Part } from '../part.ts'
import { run as runStatic } from '../static/run.ts'
import { run as runWeights } from '../weights/run.ts'
import { forFitting } from './halves.ts'
import type { AutoOptions } from './index.ts'
import type { Formula } from './params.ts'
import { idOf } from './units.ts'

/** What each unit gets, by its id; units without a formula stay float. */
export type Assignment = ReadonlyMap<string, Formula>

/** What was found out about weights and activations, whatever model copy it was found on. */
export class Findings {
  readonly blocks: Part['blocks'] = new WeakMap<Tensor, Map<string, never>>()
  readonly #known = new Map<string, { range?: Range; statistics?: Statistics }>()
  #samples = 0

  /** Measures values that were not measured by this method before; values are known by name. */
  readonly calibrate: Part['calibrate'] = async (method, values, measure) => {
    const key = ({ name }: Value): string => `${method} ${name}`
    const fresh = values.filter((value) => !this.#known.has(key(value)))
    if (fresh.length) {
      const found = await measure(fresh)
      this.#samples = found.samples
      for (const value of fresh) {
        const [range, statistics] = [found.ranges.get(value), found.statistics.get(value)]
        this.#known.set(key(value), { ...(range && { range }), ...(statistics && { statistics }) })
      }
    }
    const ranges = new Map<Value, Range>()
    const statistics = new Map<Value, Statistics>()
    for (const value of values) {
      const known = this.#known.get(key(value))!
      if (known.range) ranges.set(value, known.range)
      if (known.statistics) statistics.set(value, known.statistics)
    }
    return { ranges, statistics, samples: this.#samples }
  }
}

type Range = Calibration['ranges'] extends ReadonlyMap<Value, infer R> ? R : never
type Statistics = Calibration['statistics'] extends ReadonlyMap<Value, infer S> ? S : never

/**
 * Quantizes a model in place, each unit in its own way. Integer products come last: what is between them goes along.
 *
 * @param isUnit true for nodes that a choice is made for, by id
 * @returns number of changes
 */
export async function apply(
  model: Model,
  assignment: Assignment,
  isUnit: (id: string) => boolean,
  options: AutoOptions,
  findings: Findings,
  context: PassContext,
): Promise<number> {
  let changes = 0
  // Channels were balanced and selections made before.
  const common = {
    ...options,
    smoothNorms: false,
    smoothAlpha: undefined,
    equalize: false,
    ops: undefined,
    excludeOps: undefined,
    nodes: undefined,
    excludeNodes: undefined,
  }
  const partOf = (formulas: readonly Formula[]): Part | undefined => {
    const chosen = new Set([...assignment].flatMap(([id, formula]) => (formulas.includes(formula) ? [id] : [])))
    if (!chosen.size) return undefined
    return {
      // What is between integer operators goes along with them.
      selects: (node) => (isUnit(idOf(node)) ? chosen.has(idOf(node)) : formulas.includes('static')),
      samples: options.evaluate ? (data) => data : forFitting,
      calibrate: findings.calibrate,
      blocks: findings.blocks,
    }
  }
  for (const [formula, bits] of [
    ['8bit', 8],
    ['4bit', 4],
  ] as const) {
    const part = partOf([formula])
    if (!part) continue
    const algorithm = options.calibration && bits === 4 ? 'gptq' : options.algorithm
    const result = await runWeights(model, { ...common, quantize: 'weights', bits, algorithm }, context, part)
    changes += result.changes
  }
  const dynamic = partOf(['dynamic'])
  if (dynamic) {
    const result = await runDynamic(model, { ...common, quantize: 'dynamic' } as DynamicOptions, context, dynamic)
    changes += result.changes
  }
  const integers = partOf(['static', 'static-mse'])
  if (integers) {
    const isClipped = (value: Value): boolean => value.users.some((node) => assignment.get(idOf(node)) === 'static-mse')
    const clips = [...assignment.values()].includes('static-mse')
    const part = clips ? { ...integers, calibrate: clipping(findings, isClipped) } : integers
    const calibrationMethod = clips ? 'mse' : options.calibrationMethod
    // The size of blocks is that of 4 and 8 bits.
    const settings = { ...common, quantize: 'static', calibrationMethod, blockSize: undefined } as const
    const result = await runStatic(model, settings, context, part)
    changes += result.changes
  }
  return changes
}

/** Ranges of least squared error for some values, and the extremes for others. */
function clipping(findings: Findings, isClipped: (value: Value) => boolean): Part['calibrate'] {
  return async (method, values, measure) => {
    const { ranges, statistics, samples } = await findings.calibrate(method, values, measure)
    const chosen = [...ranges].map(([value, range]) => {
      const { min, max } = statistics.get(value)!
      return [value, isClipped(value) ? range : { min, max }] as const
    })
    return { ranges: new Map(chosen), statistics, samples }
  }
}
