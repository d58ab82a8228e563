import { openFloats, withFloats } from '../../../../graph/float-data.ts'
import type { Model } from '../../../../graph/model.ts'
import type { Node } from '../../../../graph/node.ts'
import type { Value } from '../../../../graph/value.ts'
import { type BlockLayout, type BlockPool, packBlocks, toFloat32 } from '../../../../kernels/index.ts'
import type { PassContext } from '../../../pass.ts'
import type { CalibrationData } from '../../calibrate/data/index.ts'
import { type BlockRequest, type Job, quantizeSafely } from '../jobs.ts'
import { chooseDamping } from './damping.ts'
import { correctionsOf } from './factor.ts'
import { forHessians, type Source } from './hessians.ts'
import { openProducts, type Products } from './products.ts'
import { solve } from './solve.ts'

/** A product whose weight is to be quantized. */
export interface Product {
  node: Node
  job: Job
}

/**
 * Quantizes the weights of products so that errors cancel out on the data (GPTQ): gives their jobs results. Left to others are weights
 * that are also read in another way, products in bodies of If and Loop, and what was never reached with finite values.
 *
 * @returns the damping that was chosen, if there was something to quantize
 */
export async function quantizeOnData(
  model: Model,
  products: readonly Product[],
  data: CalibrationData,
  context: PassContext,
): Promise<number | undefined> {
  const readers = new Map<Job, Node[]>()
  for (const { node, job } of products) if (!job.result) readers.set(job, [...(readers.get(job) ?? []), node])
  const sources = new Map<Value, Source & { jobs: Job[] }>()
  for (const [job, nodes] of readers) {
    const input = nodes[0]!.input(0)!
    const isAlone = nodes.every((node) => node.graph === model.graph && node.input(0) === input)
    if (!isAlone || input.constant || !isBlocks(job)) continue
    const { length } = job.request.layout
    const source = sources.get(input) ?? { value: input, length, jobs: [] }
    source.jobs.push(job)
    sources.set(input, source)
  }
  if (!sources.size) return undefined
  const { ort, threads, signal } = context
  const matrices = await openProducts(ort, threads)
  let done = 0
  try {
    const probes = [...sources.values()].map(({ value, length, jobs: [job] }) => {
      const { options, layout } = job!.request as BlockRequest
      return { value, length, options, weights: () => weightsOf(job!, layout) }
    })
    const damping = await chooseDamping(model, probes, data, { threads, signal }, matrices)
    await forHessians(model, [...sources.values()], data, { threads, signal, products: matrices }, async (hessians) => {
      for (const [value, hessian] of hessians) {
        const { jobs } = sources.get(value)!
        const corrections = await correctionsOf(hessian, damping, matrices)
        if (!corrections) continue
        for (const job of jobs) {
          signal?.throwIfAborted()
          await quantizeOne(job, corrections, matrices)
          done++
          context.progress((done / readers.size) * 0.9)
        }
      }
    })
    return damping
  } finally {
    await matrices.release()
  }
}

function isBlocks(job: Job): job is Job & { request: BlockRequest } {
  return !('bnb4' in job.request)
}

async function quantizeOne(job: Job, corrections: Float32Array, products: Products): Promise<void> {
  const { layout, options } = job.request as BlockRequest
  const floats = openFloats(job.root.constant!)
  try {
    const weights = rowsOf(toFloat32(floats.data), layout)
    if (!weights.every(Number.isFinite)) return
    const columns = layout.outer * layout.inner
    const solver: Pick<BlockPool, 'quantizeBlocks'> = {
      quantizeBlocks: async (_, layout, options) =>
        packBlocks(await solve(weights, columns, corrections, options, products), layout, options),
    }
    Object.assign(job, await quantizeSafely(solver, floats.data, { layout, options }))
  } finally {
    floats.close()
  }
}

/** The weight of a job row by row. */
function weightsOf({ root }: Job, layout: BlockLayout): Float32Array {
  return withFloats(root.constant!, (data) => rowsOf(toFloat32(data), layout))
}

/** The matrix with the axis that is summed up first. */
function rowsOf(values: Float32Array, { outer, length, inner }: BlockLayout): Float32Array {
  if (outer === 1) return values
  const columns = outer * inner
  const rows = new Float32Array(values.length)
  for (let c = 0; c < outer; c++) for (let k = 0; k < length; k++) rows[k * columns + c] = values[c * length + k]!
  return rows
}
