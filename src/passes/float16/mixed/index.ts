import { dirname, resolve } from 'node:path'
import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { inputPaths } from '../../../measure/inputs/files.ts'
import { roundsResults } from '../../../measure/rounded.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { PassContext } from '../../pass.ts'
import type { HalfConstants } from '../constants.ts'
import { type Float16Options, OLDEST_MIXED } from '../index.ts'
import type { Plan } from '../plan.ts'
import { Judge, loadValidate } from './judge.ts'
import { mayBeInfinite, outOfRange } from './ranges.ts'
import { type Rescaled, type Rescaling, rescale } from './rescale/index.ts'
import { search } from './search.ts'
import { Trial } from './trial.ts'

/** Defaults of `mixedCosine` and `mixedSamples`. */
const COSINE = 0.9999
const SAMPLES = 4

/** What the search found: part of the report, plain JSON. */
export interface MixedReport {
  /** Runs of candidates, over all inputs each. */
  runs: number
  samples: 'given' | 'generated'
  /** Nodes that stay float32, in order; `magnitude` is the largest value that drove them out of range. */
  float32: { node: string; op: string; magnitude?: number }[]
  /** Nodes that stay float32 because their weights do not fit a half, by name. */
  weights: string[]
  /** Values beyond the half range that are stored divided by a power of two, so that float16 does. */
  rescaled: readonly Rescaled[]
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
 * @param model may come out with values rescaled
 * @param plan what could become float16
 * @param replan the same, of the model as it is then
 * @returns undefined if no choice is good enough, not even float32 throughout: then the bars ask for more than rounding of
 * inputs and large weights allows, or the user's function refuses everything
 */
export async function findMixed(
  model: Model,
  plan: Plan,
  replan: () => Promise<Plan>,
  constants: HalfConstants,
  options: Float16Options,
  context: PassContext,
): Promise<Mixed | undefined> {
  const { mixedValidate } = options
  if (model.opset < OLDEST_MIXED)
    throw new OnnxError(
      'MIXED_OPSET',
      `mixed precision needs a model of opset ${OLDEST_MIXED} or later, this one has ${model.opset}`,
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
  const source = { files, samples: options.mixedSamples ?? SAMPLES }
  const trial = await Trial.open(model, constants, judge, source).catch((error) => {
    if (!(error instanceof OnnxError) || error.code !== 'ORT_REFUSED') throw error
    throw new OnnxError(error.code, `mixed precision runs the model: ${error.what}`, {
      cause: error,
      hint: 'To convert it without running it, use precision=float16.',
    })
  })
  try {
    const found =
      (options.mixedRescale && (await findRescaled(model, plan, replan, trial, options))) ||
      (await findIn(plan, trial, trial.ranges, options))
    if (!found) {
      trial.close()
      return undefined
    }
    const { units, chosen, magnitudes, rescaling } = found
    const float32 = units.filter((_, unit) => chosen.has(unit))
    const isFloat = units.map((_, unit) => chosen.has(unit))
    return {
      // What is inside of a node's subgraphs goes with it.
      float32: new Set(float32.flatMap((node) => [node, ...node.subgraphs.flatMap((body) => [...body.allNodes()])])),
      report: {
        runs: trial.runs,
        samples: files.length ? 'given' : 'generated',
        float32: float32.map((node) => {
          const magnitude = magnitudes.get(node)
          return { node: node.label, op: node.qualifiedType, ...(magnitude === undefined ? {} : { magnitude }) }
        }),
        weights: [...found.plan.large].map(({ label }) => label),
        rescaled: rescaling?.values ?? [],
        clusters: clustersOf(isFloat),
        picture: pictureOf(isFloat),
      },
      confirms: (converted) => trial.confirms(converted, roundsResults(context.device)),
      close: () => trial.close(),
    }
  } catch (error) {
    trial.close()
    throw error
  }
}

/** A choice that is good enough. */
interface Found {
  plan: Plan
  units: readonly Node[]
  /** Units that stay float32. */
  chosen: ReadonlySet<number>
  /** Nodes out of range. */
  magnitudes: ReadonlyMap<Node, number>
  rescaling?: Rescaling
}

/** Searches in the model as it is. */
async function findIn(
  plan: Plan,
  trial: Trial,
  largest: ReadonlyMap<Value, number>,
  options: Float16Options,
): Promise<Found | undefined> {
  await trial.follow(plan)
  const { units } = trial
  const indices = new Map(units.map((node, i) => [node, i]))
  const { large, odd } = outOfRange(plan, largest)
  const unitsOf = (nodes: Iterable<Node>): number[] => [...nodes].flatMap((node) => indices.get(node) ?? [])
  const sure = [...large.keys()].filter((node) => !mayBeInfinite(node))
  const chosen = await search({
    count: units.length,
    start: unitsOf(large.keys()),
    doubtful: new Set(unitsOf([...large.keys()].filter(mayBeInfinite))),
    groups: connected(sure).map(unitsOf),
    passes: (float32) => trial.passes(float32),
    rank: async (float32) => [...new Set([...unitsOf(odd.keys()), ...(await trial.rank(float32))])],
    ...(trial.isGraded ? { error: (float16: ReadonlySet<number>) => trial.share(float16) } : {}),
    maxRuns: options.mixedRuns,
  })
  return chosen && { plan, units, chosen, magnitudes: new Map([...odd, ...large]) }
}

/** Nodes by what hangs together through values. */
function connected(nodes: readonly Node[]): Set<Node>[] {
  const left = new Set(nodes)
  return nodes.flatMap((start) => {
    if (!left.delete(start)) return []
    const group = new Set([start])
    for (const node of group) {
      const near = [
        ...node.inputs.flatMap((value) => value?.producer ?? []),
        ...node.outputs.flatMap((value) => value?.users ?? []),
      ]
      for (const other of near) if (left.delete(other)) group.add(other)
    }
    return [group]
  })
}

/** Where rescaled values are to lie: with room for larger ones, or for their squares, which costs digits of the smallest ones. */
const BELOW = [2 ** 14, 2 ** 10, 2 ** 7]

/** Searches in the model with values rescaled, and leaves it so if that spares float32 nodes. */
async function findRescaled(
  model: Model,
  plan: Plan,
  replan: () => Promise<Plan>,
  trial: Trial,
  options: Float16Options,
): Promise<Found | undefined> {
  const without = expected(plan, trial.ranges)
  let best = { below: 0, cost: without }
  for (const below of BELOW) {
    const rescaling = rescale(model, trial.ranges, below)
    if (!rescaling) continue
    const cost = expected(await replan(), rescaling.largest) + rescaling.inserted
    if (cost < best.cost) best = { below, cost }
    rescaling.undo()
  }
  const rescaling = best.below ? rescale(model, trial.ranges, best.below) : undefined
  if (!rescaling) return undefined
  const found = await findIn(await replan(), trial, rescaling.largest, options)
  if (found && found.chosen.size + found.plan.large.size + rescaling.inserted < without) {
    rescaling.accept()
    return { ...found, rescaling }
  }
  rescaling.undo()
  return undefined
}

/** How many nodes will have to stay float32 at least, for the range of their weights, inputs and outputs. */
function expected(plan: Plan, largest: ReadonlyMap<Value, number>): number {
  return plan.large.size + [...outOfRange(plan, largest).large.keys()].filter((node) => !mayBeInfinite(node)).length
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
