import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readModel } from '../../graph/import.ts'
import { inlineFunctions } from '../../graph/inline-functions.ts'
import type { Model } from '../../graph/model.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { writeModel } from '../../graph/write.ts'
import { compare, type FloatType, toFloat32 } from '../../kernels/index.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { createOrtService } from '../../ort/service.ts'
import { fixInputs, type WantedSizes } from '../inputs/fixed.ts'
import { feedsFor, type InputSource } from '../inputs/index.ts'
import { IsolatedOrt } from '../isolated.ts'
import { feedsOf } from '../versus.ts'
import { type MatchedActivation, matchActivations, meaning } from './activations.ts'
import { addChannelSums, type ChannelSums, fitted } from './channels.ts'
import { expose, fetch, type Watched } from './watched.ts'
import { type WeightError, weightErrors } from './weights.ts'

export type { WeightError } from './weights.ts'

/** What quantization costs one activation, as signal to noise ratios in dB; null where nothing is lost. */
export interface ActivationError {
  /** The float model's name. */
  name: string
  /** The float model's node that gives it; none for inputs. */
  node?: string
  /** What the rounding of this activation costs: before against after. Only where a pair rounds it. */
  rounding?: number | null
  /** What was lost up to here: the float model's against the quantized one's. */
  total: number | null
  maxDifference: number
  /** True if its channels are multiplied by factors in the quantized model (smoothing), which are left out of `total`. */
  rescaled?: true
}

/** What one layer adds. */
export interface LayerError {
  /** The float model's node. */
  node: string
  op: string
  /** Signal to noise ratio of its output in dB. */
  total: number | null
  /** The same of its worst input that both models have; none where they share no input. */
  input?: number | null
  /** Noise that it adds, in per cent of the signal of its output. */
  added: number
}

/** Errors of a quantized model against the float model that it was made from. */
export interface ErrorReport {
  reference: string
  model: string
  samples: number
  /** In the order of computation. */
  activations: ActivationError[]
  /** The worst first. */
  weights: WeightError[]
  /** The greatest loss first. */
  layers: LayerError[]
}

export interface ErrorOptions extends Partial<InputSource> {
  sizes?: WantedSizes | undefined
}

/** Values fetched in one run: bounds the memory. */
const AT_A_TIME = 64

interface Sums {
  signal: number
  noise: number
  beforeSignal: number
  beforeNoise: number
  maxDifference: number
  channels?: ChannelSums | undefined
  rescaled?: true
}

/** By how much channels must fit better with factors than without to have been multiplied, as a ratio of noise to signal. */
const CLEARLY = 4

/**
 * Compares a quantized model with the float model that it was made from, weight by weight and activation by activation, on the same
 * inputs. Values are matched by the names that quantization leaves behind; what another pass renamed or fused is left out.
 *
 * @throws OnnxError `NOTHING_SHARED` if no value of the one is found in the other; `ORT_REFUSED`, `ORT_RUN_FAILED`, `ORT_CRASHED`
 */
export async function quantizationError(
  reference: string,
  quantized: string,
  { files = [], samples = 4, seed, sizes }: ErrorOptions = {},
): Promise<ErrorReport> {
  const [float, coded] = [readModel(reference), readModel(quantized)]
  if (sizes) fixInputs(float, sizes)
  const { inferTypes } = createOrtService()
  for (const model of [float, coded]) {
    // Operators of functions are quantized where they are called.
    inlineFunctions(model)
    await inferTypes(model, { scalars: false })
  }
  const matches = matchActivations(float, coded)
  const weights = weightErrors(float, coded)
  if (!matches.length && !weights.length)
    throw new OnnxError('NOTHING_SHARED', 'none of the values of the float model are in the quantized one', {
      place: { file: quantized },
      hint: 'Compare a quantized model with the model it was made from; fusions rename values.',
    })
  if (!weights.length && !matches.some(({ codes, before }) => codes ?? before))
    throw new OnnxError('NOTHING_SHARED', 'nothing of the float model is quantized here', {
      place: { file: quantized },
      hint: 'The quantized model comes first, and then the float model that it was made from (--error FLOAT).',
    })
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-'))
  const ort = new IsolatedOrt()
  try {
    const open = async (model: Model, values: readonly Value[], file: string): Promise<Watched> => {
      const names = expose(model, values)
      const path = join(folder, file)
      await writeModel(model, path, { location: `${file}_data` })
      return { session: await ort.open(path), names }
    }
    // Before values of bodies are made outputs, which changes the bodies.
    const layers = layersOf(float)
    const plain = await open(
      float,
      matches.map(({ float }) => float),
      'float.onnx',
    )
    const rounded = await open(
      coded,
      matches.flatMap(({ found, before }) => (before ? [found, before] : [found])),
      'quantized.onnx',
    )
    const all = await feedsFor(float, plain.session, { files, samples, seed })
    const sums = new Map<MatchedActivation, Sums>()
    for (const feeds of all)
      for (let at = 0; at < matches.length; at += AT_A_TIME) {
        const part = matches.slice(at, at + AT_A_TIME)
        const expected = await fetch(
          plain,
          part.map(({ float }) => float),
          feeds,
        )
        const values = part.flatMap(({ found, before }) => (before ? [found, before] : [found]))
        const actual = await fetch(rounded, values, feedsOf(rounded.session, feeds))
        for (const match of part) add(sums, match, expected, actual)
      }
    for (const known of sums.values()) withoutFactors(known)
    const activations = matches.flatMap((match) => errorOf(match, sums.get(match)))
    return {
      reference,
      model: quantized,
      samples: all.length,
      activations,
      weights,
      layers: errorsOf(layers, sums, matches),
    }
  } finally {
    ort.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

function add(
  sums: Map<MatchedActivation, Sums>,
  match: MatchedActivation,
  expected: ReadonlyMap<Value, Tensor>,
  actual: ReadonlyMap<Value, Tensor>,
): void {
  const [tensor, found] = [expected.get(match.float), actual.get(match.found)]
  if (!tensor || found?.elementCount !== tensor.elementCount || !tensor.elementCount) return
  const after = match.codes ? meaning(found, match.codes) : floatsOf(found)
  const total = compare(floatsOf(tensor), after)
  if (Number.isNaN(total.squaresDifference)) return
  const first = !sums.has(match)
  const known: Sums = sums.get(match) ?? { signal: 0, noise: 0, beforeSignal: 0, beforeNoise: 0, maxDifference: 0 }
  sums.set(match, known)
  if (first || known.channels) known.channels = addChannelSums(known.channels, floatsOf(tensor), after, tensor.dims)
  known.signal += total.squaresA
  known.noise += total.squaresDifference
  known.maxDifference = Math.max(known.maxDifference, total.maxDifference)
  const before = match.before === undefined ? undefined : actual.get(match.before)
  if (before?.elementCount !== tensor.elementCount) return
  const rounding = compare(floatsOf(before), after)
  known.beforeSignal += rounding.squaresA
  known.beforeNoise += rounding.squaresDifference
}

function floatsOf(tensor: Tensor): Float32Array {
  return toFloat32({ dtype: tensor.dtype as FloatType, bytes: tensor.bytes() })
}

function errorOf(match: MatchedActivation, sums: Sums | undefined): ActivationError[] {
  if (!sums) return []
  const node = match.float.producer?.label
  return [
    {
      name: match.float.name,
      ...(node === undefined ? {} : { node }),
      ...(match.before === undefined ? {} : { rounding: decibels(sums.beforeSignal, sums.beforeNoise) }),
      total: decibels(sums.signal, sums.noise),
      maxDifference: sums.maxDifference,
      ...(sums.rescaled ? { rescaled: true } : {}),
    },
  ]
}

/** Where channels were multiplied, what counts is the rest of the error. */
function withoutFactors(sums: Sums): void {
  const rest = sums.channels && fitted(sums.channels)
  if (!rest || !(rest.signal > 0) || rest.noise / rest.signal > sums.noise / sums.signal / CLEARLY) return
  Object.assign(sums, rest, { rescaled: true })
}

/** A node of the float model, with what it reads and gives. */
interface Layer {
  node: string
  op: string
  output: Value
  inputs: readonly Value[]
}

function layersOf({ graph }: Model): Layer[] {
  return [...graph.allNodes()].flatMap((node) => {
    const output = node.outputs[0]
    const inputs = node.inputs.filter((value) => value !== null)
    return output ? [{ node: node.label, op: node.opType, output, inputs }] : []
  })
}

/** Layers by the noise they add to that of their worst input. */
function errorsOf(
  layers: readonly Layer[],
  sums: ReadonlyMap<MatchedActivation, Sums>,
  matches: readonly MatchedActivation[],
): LayerError[] {
  const known = new Map(matches.flatMap((match) => (sums.has(match) ? [[match.float, sums.get(match)!] as const] : [])))
  const ratio = ({ noise, signal }: Sums): number => (signal > 0 ? noise / signal : 0)
  const errors: LayerError[] = []
  for (const { node, op, output, inputs } of layers) {
    const own = known.get(output)
    if (!own) continue
    const worst = inputs.flatMap((value) => known.get(value) ?? []).sort((a, b) => ratio(b) - ratio(a))[0]
    const added = Math.max(0, ratio(own) - (worst ? ratio(worst) : 0)) * 100
    errors.push({
      node,
      op,
      total: decibels(own.signal, own.noise),
      ...(worst ? { input: decibels(worst.signal, worst.noise) } : {}),
      added: Number(added.toPrecision(4)),
    })
  }
  return errors.sort((a, b) => b.added - a.added)
}

function decibels(signal: number, noise: number): number | null {
  return noise === 0 || signal === 0 ? null : Math.round(1000 * Math.log10(signal / noise)) / 100
}
