import type { Tinypool } from 'tinypool'
import { type BlockOptions, type QuantizedBlocks, quantizeBlocks } from './blocks.ts'
import { FLOAT_BYTES, type FloatInput, lengthOf } from './floats.ts'
import { mergeSlices, type Slice, sliceLayout } from './slices.ts'
import type { BlockLayout } from './tiles.ts'
import type { BlockTask } from './worker.ts'

/**
 * Nanoseconds per element of `quantizeBlocks` on one core (AMD Zen 3, 4 bits, blocks of 32 to 128; bench/kernels.mjs
 * prints them). Searches take half as long when symmetric.
 */
export const BLOCK_COST_NS: Readonly<Record<NonNullable<BlockOptions['method']>, number>> = {
  minmax: 3,
  hqq: 22,
  mse: 42,
  k_quant: 42,
}

/** Work below this many milliseconds is done on this thread: starting threads takes about as long. */
const WORTH_THREADS_MS = 250

/** Elements of a task: a compromise between even load and little copying ahead. */
const TASK_ELEMENTS = 2 ** 21

/** Quantizes blocks on several threads. */
export interface BlockPool {
  /** As `quantizeBlocks` (same result, to the bit); large tensors are cut into slices. Start many at once. */
  quantizeBlocks(input: FloatInput, layout: BlockLayout, options: BlockOptions): Promise<QuantizedBlocks>
  /** Ends the threads; work that has not finished fails. */
  close(): Promise<void>
}

/** Settings of a `blockPool`. */
export interface BlockPoolOptions {
  /** Threads that may run at once. 1 or less: everything on this thread. */
  readonly threads: number
  /** All work that will be asked for, in milliseconds (see `BLOCK_COST_NS`): too little is done on this thread. */
  readonly expectedMs?: number | undefined
  /** Stops what has not begun; its promises fail with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** The built worker. Default: beside this file; on this thread when running from TypeScript sources. */
  readonly worker?: URL | undefined
}

/** A pool of threads for block searches, which are the only kernels slower than memory. Close it when done. */
export function blockPool({
  threads,
  expectedMs = Number.POSITIVE_INFINITY,
  signal,
  worker,
}: BlockPoolOptions): BlockPool {
  const filename =
    worker ?? (import.meta.url.endsWith('.ts') ? undefined : new URL('./kernels-worker.js', import.meta.url))
  if (filename === undefined || threads <= 1 || expectedMs < WORTH_THREADS_MS)
    return {
      async quantizeBlocks(input, layout, options) {
        signal?.throwIfAborted()
        return quantizeBlocks(input, layout, options)
      },
      async close() {},
    }
  // loaded with the first task: most who import the kernels never need threads
  let started: Promise<Tinypool> | undefined
  const start = async () => {
    const { Tinypool } = await import('tinypool')
    return new Tinypool({ filename: filename.href, minThreads: 1, maxThreads: threads, idleTimeout: 1000 })
  }
  const turn = semaphore(threads * 2)
  return {
    async quantizeBlocks(input, layout, options) {
      const slices = sliceLayout(layout, options.blockSize, lengthOf(input) / TASK_ELEMENTS)
      const parts = slices.map((slice) =>
        turn(async () => {
          signal?.throwIfAborted()
          // copied only when its turn comes, so that few slices exist twice
          const task = { ...share(input, slice), layout: slice.layout, options } satisfies BlockTask
          started ??= start()
          return (await (await started).run(task)) as QuantizedBlocks
        }),
      )
      return mergeSlices(await Promise.all(parts), layout, options)
    },
    async close() {
      await (await started)?.destroy()
    },
  }
}

/** Copies a slice to memory that all threads see. */
function share(input: FloatInput, { start, elements }: Slice): Pick<BlockTask, 'dtype' | 'bytes'> {
  const dtype = input instanceof Float32Array ? 'float32' : input.dtype
  const source =
    input instanceof Float32Array ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : input.bytes
  const size = FLOAT_BYTES[dtype]
  const bytes = new Uint8Array(new SharedArrayBuffer(elements * size))
  if (source instanceof Uint8Array) bytes.set(source.subarray(start * size, (start + elements) * size))
  else source.read(bytes, start * size)
  return { dtype, bytes }
}

/** Lets at most `limit` bodies run at once, in the order they came. */
function semaphore(limit: number): <T>(body: () => Promise<T>) => Promise<T> {
  let free = limit
  const waiting: (() => void)[] = []
  return async (body) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await body()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
