import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { elementsIn } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import type { BlockLayout, BlockMethod, BlockOptions } from '../../../kernels/index.ts'
import type { DType } from '../../../onnx/dtypes.ts'
import { findWeight, type Weight } from '../weight.ts'
import type { WeightOptions } from './index.ts'
import type { Job, Jobs } from './jobs.ts'

export const CONTRIB = 'com.microsoft'

/** What the rewrite of one operator works with. */
export interface Tools {
  options: WeightOptions & { bits: 2 | 4 | 8; blockSize: number }
  device: string
  jobs: Jobs
  /** Tables that a Gather and a product with the transposed table share. */
  tied: ReadonlySet<Value>
  /** Weights that get 8 bits. */
  sensitive: ReadonlySet<Value>
  /** Graphs that read a weight dequantized. */
  readers: Map<Value, Set<Graph>>
  /** Weights as they are read in one graph: reshapes and dequantized forms, made once. */
  shared: Map<string, Value>
  /** Values that may turn out to be read by nobody once all nodes are done. */
  leftovers: Set<Value>
}

/** A node that can be rewritten once its jobs have run. */
export interface Planned {
  job: Job
  emit(): void
}

/** `skipped` where there is nothing to say; or why the node stays float. */
export type Outcome = Planned | 'skipped' | { reason: string }

/** How one operator type is quantized: first planned, then, when all weights are quantized, rewritten. */
export interface Handler {
  op: string
  plan(node: Node, tools: Tools): Outcome
}

/** Why a node stays float, for the user. */
export function left(reason: string): { reason: string } {
  return { reason }
}

/** A constant matrix that activations are multiplied by, whichever way it is stored. */
export interface Matrix {
  weight: Weight
  /** Length of the axis that the product sums over. */
  length: number
  columns: number
  /** The stored tensor, blocked along that axis. */
  layout: BlockLayout
  /** Rank that the reader sees. */
  rank: number
}

/** The float types that block operators take. */
const FLOATS: readonly (DType | undefined)[] = ['float32', 'float16', 'bfloat16']

/** The constant matrix behind an input; a reason why it is none; or undefined for values that are computed. */
export function findMatrix(value: Value | undefined, transposed = false): Matrix | string | undefined {
  const weight = findWeight(value)
  if (!weight) return undefined
  const { dims } = weight.tensor
  if (!FLOATS.includes(weight.dtype)) return `its weight is ${weight.dtype}`
  if (dims.length < 2) return 'its weight is no matrix'
  if (dims.slice(0, -2).some((dim) => dim !== 1)) return 'its weight is a stack of matrices'
  if (elementsIn(dims) === 0) return 'its weight has no elements'
  const [first, last] = dims.slice(-2) as [number, number]
  const byRows = weight.transposed !== transposed
  const [length, columns] = byRows ? [last, first] : [first, last]
  const layout = byRows ? { outer: columns, length, inner: 1 } : { outer: 1, length, inner: columns }
  return { weight, length, columns, layout, rank: dims.length }
}

/** How the options want the blocks of a weight. Scales are rounded to the type they will be stored in before codes are made. */
export function blockOptions({ options, sensitive }: Tools, { root, dtype }: Weight): BlockOptions {
  const { blockSize, algorithm } = options
  const isSensitive = sensitive.has(root)
  return {
    bits: isSensitive ? 8 : options.bits,
    blockSize,
    // 256 steps are as good without zero points
    symmetric: options.symmetric || isSensitive,
    method: methodOf(algorithm, isSensitive),
    scaleType: scaleType(options, dtype),
    order: 'blocks',
  }
}

function methodOf(algorithm: WeightOptions['algorithm'], isSensitive: boolean): BlockMethod {
  if (algorithm === 'rtn') return 'minmax'
  if (algorithm === 'hqq' && isSensitive) return 'mse'
  return algorithm === 'gptq' ? 'k_quant' : algorithm
}

function scaleType({ scaleType, precision, weightFormat }: Tools['options'], dtype: DType): BlockOptions['scaleType'] {
  if (dtype !== 'float32') return dtype as 'float16' | 'bfloat16'
  return precision === 'float16' || (scaleType === 'float16' && weightFormat === 'nbits') ? 'float16' : 'float32'
}
