import { holdsFloats, openFloats } from '../../../graph/float-data.ts'
import type { Value } from '../../../graph/value.ts'
import {
  BLOCK_COST_NS,
  type BlockLayout,
  type BlockOptions,
  type BlockPool,
  type Bnb4,
  blockPool,
  FLOAT16_MAX,
  type FloatData,
  type QuantizedBlocks,
} from '../../../kernels/index.ts'
import type { PassContext } from '../../pass.ts'
import type { Part } from '../part.ts'

/** Asks for a weight in blocks. */
export interface BlockRequest {
  layout: BlockLayout
  options: BlockOptions
}

/** Asks for a weight in one of the formats of bitsandbytes. */
export interface Bnb4Request {
  layout: BlockLayout
  bnb4: 'nf4' | 'fp4'
  blockSize: number
}

/** A weight to quantize, and what becomes of it. Nodes that ask for the same share one job, and the initializers made of it. */
export interface Job<T extends QuantizedBlocks | Bnb4 = QuantizedBlocks | Bnb4> {
  readonly root: Value
  readonly request: BlockRequest | Bnb4Request
  /** There once all jobs ran. */
  result?: T
  /** True if all scales of the result are halves. */
  hasHalfScales?: boolean
  /** Initializers made of the result, by what they are. */
  readonly values: Map<string, Value>
}

/** All weights of a model that are to be quantized, each once per way. */
export class Jobs {
  readonly #jobs = new Map<Value, Map<string, Job>>()
  readonly #part: Part | undefined
  readonly #algorithm: string

  /** @param part what was quantized before needs no work */
  constructor({ algorithm }: { algorithm: string } = { algorithm: '' }, part?: Part) {
    this.#algorithm = algorithm
    this.#part = part
  }

  /** Keeps results for the next time. */
  keep(): void {
    if (!this.#part) return
    for (const [root, jobs] of this.#jobs)
      for (const [key, { result, hasHalfScales }] of jobs) {
        if (!result || !('blocks' in result)) continue
        const kept = this.#part.blocks.get(root.constant!) ?? new Map()
        this.#part.blocks.set(root.constant!, kept)
        kept.set(`${this.#algorithm} ${key}`, { result, ...(hasHalfScales === undefined ? {} : { hasHalfScales }) })
      }
  }

  /** The job for a weight, or the reason why it has to stay float. */
  blocks(root: Value, request: BlockRequest): Job<QuantizedBlocks> | string {
    return this.#add(root, request) as Job<QuantizedBlocks> | string
  }

  /** The same for bitsandbytes. */
  bnb4(root: Value, request: Bnb4Request): Job<Bnb4> | string {
    return this.#add(root, request) as Job<Bnb4> | string
  }

  #add(root: Value, request: BlockRequest | Bnb4Request): Job | string {
    const tensor = root.constant
    if (!tensor || !holdsFloats(tensor)) return 'its weight is no float tensor'
    if (tensor.elementCount === 0) return 'its weight has no elements'
    const known = this.#jobs.get(root) ?? new Map<string, Job>()
    this.#jobs.set(root, known)
    const key = JSON.stringify(request)
    const kept = this.#part?.blocks.get(tensor)?.get(`${this.#algorithm} ${key}`)
    const job = known.get(key) ?? { root, request, values: new Map(), ...kept }
    known.set(key, job)
    return job
  }

  /** Computes all results, several at once where that pays. Jobs whose weight is not finite are left without a result. */
  async run({ threads, signal, progress }: PassContext): Promise<void> {
    const jobs = [...this.#jobs.values()].flatMap((known) => [...known.values()])
    const size = ({ root }: Job): number => root.constant!.elementCount
    const total = jobs.reduce((sum, job) => sum + size(job), 0)
    const expectedMs = jobs.reduce((sum, job) => sum + size(job) * costOf(job.request), 0) / 1e6
    const pool = blockPool({ threads, expectedMs, signal })
    const waiting = jobs.values()
    let done = 0
    const work = async (): Promise<void> => {
      for (const job of waiting) {
        signal?.throwIfAborted()
        if (job.result) continue
        const floats = openFloats(job.root.constant!)
        try {
          const { request } = job
          const outcome =
            'bnb4' in request
              ? { result: await pool.quantizeBnb4(floats.data, request.layout, request.bnb4, request.blockSize) }
              : await quantizeSafely(pool, floats.data, request)
          if (outcome.result?.finite) Object.assign(job, outcome)
        } finally {
          floats.close()
        }
        done += size(job)
        progress(done / total)
      }
    }
    try {
      await Promise.all(Array.from({ length: OPEN_AT_ONCE }, work))
    } finally {
      await pool.close()
    }
  }
}

/** Weights that are worked on at a time: enough for all threads, whatever their sizes. */
const OPEN_AT_ONCE = 32

/** Nanoseconds per element. */
function costOf(request: BlockRequest | Bnb4Request): number {
  return BLOCK_COST_NS['bnb4' in request ? 'bnb4' : (request.options.method ?? 'minmax')]
}

/** Halves from here on have all their digits. */
const SMALLEST_NORMAL = 2 ** -14

/** Quantizes with float32 scales where halves would be too coarse for them. */
export async function quantizeSafely(
  pool: Pick<BlockPool, 'quantizeBlocks'>,
  data: FloatData,
  { layout, options }: BlockRequest,
): Promise<Pick<Job, 'result' | 'hasHalfScales'>> {
  const result = await pool.quantizeBlocks(data, layout, options)
  if (options.scaleType !== 'float16' || !result.finite) return { result, hasHalfScales: false }
  const isFine = (scale: number): boolean => Math.abs(scale) >= SMALLEST_NORMAL && Math.abs(scale) <= FLOAT16_MAX
  if (data.dtype === 'float16' || result.scales.every(isFine)) return { result, hasHalfScales: true }
  const exact = await pool.quantizeBlocks(data, layout, { ...options, scaleType: 'float32' })
  // Blocks of zeros have a scale of 0, which is a half.
  return exact.scales.every((scale) => scale === 0 || isFine(scale))
    ? { result, hasHalfScales: true }
    : { result: exact, hasHalfScales: false }
}
