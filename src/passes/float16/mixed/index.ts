import { dirname, resolve } from 'node:path'
import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import { inputPaths } from '../../../measure/inputs/files.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { PassContext } from '../../pass.ts'
import type { HalfConstants } from '../constants.ts'
import type { Float16Options } from '../index.ts'
import type { Plan } from '../plan.ts'
import { Judge, loadValidate } from './judge.ts'
import { mayBeInfinite, outOfRange } from './ranges.ts'
import { search } from './search.ts'
import { Trial } from './trial.ts'

/** Defaults of `mixedCosine` and `mixedSamples`. */
const COSINE = 0.9999
const SAMPLES = 4

/** First opset with Where, which the measurement is built from. */
const OLDEST = 9

/** What the search found: part of the report, plain JSON. */
export interface MixedReport {
  /** Runs of candidates, over all inputs each. */
  runs: number
  samples: 'given' | 'generated'
  /** Nodes that stay float32, in order; `magnitude` is the largest value that drove them out of range. */
  float32: { node: string; op: string; magnitude?: number }[]
  /** Nodes in a row of one precision, in order. */
  clusters: { precision: 'float16' | 'float32'; nodes: number }[]
  /** The same as a picture: the graph from left to right, full blocks where it is float32. */
  picture: string
}

/** The nodes that must stay float32, and a check of the finished model; undefined if nothing is good enough. */
export interface Mixed {
  float32: Set<Node>
  report: MixedReport
  /** True if the converted model, as it is, is good enough too. */
  confirms(converted: Model): Promise<boolean>
  close(): void
}

/**
 * Finds few nodes that must stay float32 for the outputs to stay within the user's bars.
 *
 * @param plan what could become float16
 * @returns undefined if no choice is good enough, not even float32 throughout: then the bars ask for more than rounding of
 * inputs and large weights allows, or the user's function refuses everything
 */
export async function findMixed(
  model: Model,
  plan: Plan,
  constants: HalfConstants,
  options: Float16Options,
  context: PassContext,
): Promise<Mixed | undefined> {
  const { mixedValidate } = options
  if (model.opset < OLDEST)
    throw new OnnxError(
      'MIXED_OPSET',
      `mixed precision needs a model of opset ${OLDEST} or later, this one has ${model.opset}`,
      {
        hint: 'Convert its opset, or name the nodes that stay float32: precision=float16 with float32_nodes.',
      },
    )
  const judge = new Judge({
    cosine: options.mixedCosine ?? (mixedValidate || hasTolerance(options) ? -1 : COSINE),
    rtol: options.mixedRtol,
    atol: options.mixedAtol,
    validate: mixedValidate ? await loadValidate(resolve(dirname(context.file), mixedValidate)) : undefined,
  })
  const files = inputPaths(options.mixedInputs, context.file)
  const trial = await Trial.open(model, plan, constants, judge, { files, samples: options.mixedSamples ?? SAMPLES })
  try {
    const indices = new Map(trial.units.map((node, i) => [node, i]))
    const { large, odd } = outOfRange(plan, trial.ranges)
    const unitsOf = (nodes: Iterable<Node>): number[] => [...nodes].flatMap((node) => indices.get(node) ?? [])
    const found = await search({
      count: trial.units.length,
      start: unitsOf(large.keys()),
      doubtful: new Set(unitsOf([...large.keys()].filter(mayBeInfinite))),
      passes: (float32) => trial.passes(float32),
      rank: async (float32) => [...new Set([...unitsOf(odd.keys()), ...(await trial.rank(float32))])],
      maxRuns: options.mixedRuns,
    })
    if (!found) {
      trial.close()
      return undefined
    }
    const float32 = new Set(trial.units.filter((_, unit) => found.has(unit)))
    const isFloat = trial.units.map((_, unit) => found.has(unit))
    const clusters = clustersOf(isFloat)
    return {
      // What is inside of a node's subgraphs goes with it.
      float32: new Set(
        [...float32].flatMap((node) => [node, ...node.subgraphs.flatMap((body) => [...body.allNodes()])]),
      ),
      report: {
        runs: trial.runs,
        samples: files.length ? 'given' : 'generated',
        float32: [...float32].map((node) => {
          const magnitude = large.get(node) ?? odd.get(node)
          return { node: node.label, op: node.qualifiedType, ...(magnitude === undefined ? {} : { magnitude }) }
        }),
        clusters,
        picture: pictureOf(isFloat),
      },
      confirms: (converted) => trial.confirms(converted),
      close: () => trial.close(),
    }
  } catch (error) {
    trial.close()
    throw error
  }
}

function hasTolerance({ mixedRtol, mixedAtol }: Float16Options): boolean {
  return mixedRtol !== undefined || mixedAtol !== undefined
}

function clustersOf(isFloat: readonly boolean[]): MixedReport['clusters'] {
  const clusters: MixedReport['clusters'] = []
  for (const float of isFloat) {
    const precision = float ? 'float32' : 'float16'
    const last = clusters.at(-1)
    if (last?.precision === precision) last.nodes++
    else clusters.push({ precision, nodes: 1 })
  }
  return clusters
}

/** Letters of the picture, from no float32 to all. */
const SHADES = '·░▒▓█'
const WIDTH = 60

function pictureOf(isFloat: readonly boolean[]): string {
  const width = Math.min(WIDTH, isFloat.length)
  return Array.from({ length: width }, (_, column) => {
    const part = isFloat.slice(
      Math.floor((column * isFloat.length) / width),
      Math.floor(((column + 1) * isFloat.length) / width),
    )
    const share = part.filter(Boolean).length / part.length
    return SHADES[Math.ceil(share * (SHADES.length - 1))]
  }).join('')
}
