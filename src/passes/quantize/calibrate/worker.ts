import { Tensor } from '../../../graph/tensor.ts'
import type { FloatType } from '../../../kernels/index.ts'
import type { DType } from '../../../onnx/dtypes.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import { openSession, type Session } from '../../../ort/session.ts'
import {
  addCounts,
  addRange,
  addSquares,
  addSummary,
  emptyStatistics,
  type MaskLimits,
  type Statistics,
} from './statistics.ts'

/** A tensor on its way between threads. */
export interface WireTensor {
  dtype: DType
  dims: readonly number[]
  data: Uint8Array | string[]
}

/** One value to look at. */
export interface Watched {
  /** Name of an output, or of an input. */
  name: string
  isInput: boolean
  /** True for the summary of a value of a body. */
  isSummary: boolean
}

/** What a thread is asked: to run a model on one sample, and to tell what it saw. */
export interface SampleTask {
  /** File of a model that has all watched values as outputs. */
  model: string
  threads: number
  feeds: Readonly<Record<string, WireTensor>>
  watched: readonly Watched[]
  limits: MaskLimits
  /** Counts instead of ranges: the range of each value, which the histogram is to span. */
  histogram?: { bins: number; magnitudes: boolean; ranges: readonly (readonly [min: number, max: number])[] }
}

/** By watched value; undefined where the model gave nothing. Or the error. */
export type SampleResult =
  | { statistics: (Statistics | undefined)[] }
  | { counts: (Float64Array | undefined)[] }
  | { error: { code: string; what: string } }

/** Each thread opens a model once. */
const sessions = new Map<string, Promise<Session>>()

/** Entry of a worker thread. */
export default async function work(task: SampleTask): Promise<SampleResult> {
  try {
    return await look(task)
  } catch (error) {
    if (error instanceof OnnxError) return { error: { code: error.code, what: error.what } }
    throw error
  }
}

async function look({ model, threads, feeds, watched, limits, histogram }: SampleTask): Promise<SampleResult> {
  let opening = sessions.get(model)
  if (!opening) {
    opening = openSession(model, { intraOpNumThreads: threads })
    sessions.set(model, opening)
  }
  const session = await opening
  const given = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, fromWire(tensor)]))
  const wanted = watched.flatMap(({ name, isInput }) => (isInput ? [] : [name]))
  const results = await session.run(given, wanted.length ? wanted : session.outputs.slice(0, 1).map(({ name }) => name))
  const tensors = watched.map(({ name, isInput }) => (isInput ? given[name] : results[name]))
  if (!histogram) return { statistics: tensors.map((tensor, i) => tensor && statisticsOf(tensor, watched[i]!, limits)) }
  const { bins, magnitudes, ranges } = histogram
  return {
    counts: tensors.map((tensor, i) => {
      const [min, max] = ranges[i]!
      const one = { ...emptyStatistics(), min, max }
      if (tensor && !watched[i]!.isSummary) addCounts(one, floatsOf(tensor), bins, magnitudes)
      return one.histogram?.counts
    }),
  }
}

function statisticsOf(tensor: Tensor, { isSummary }: Watched, limits: MaskLimits): Statistics {
  const one = emptyStatistics()
  if (isSummary) addSummary(one, tensor.float32())
  else {
    addRange(one, floatsOf(tensor), limits)
    addSquares(one, floatsOf(tensor), tensor.dims)
  }
  return one
}

function floatsOf(tensor: Tensor): { dtype: FloatType; bytes: Uint8Array } {
  return { dtype: tensor.dtype as FloatType, bytes: tensor.bytes() }
}

function fromWire({ dtype, dims, data }: WireTensor): Tensor {
  return Array.isArray(data) ? Tensor.strings(dims, data) : Tensor.of(dtype, dims, data)
}

export function toWire(tensor: Tensor): WireTensor {
  const { dtype, dims } = tensor
  return { dtype: dtype!, dims: [...dims], data: dtype === 'string' ? tensor.toStrings() : tensor.bytes().slice() }
}
