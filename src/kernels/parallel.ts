import { type BlockOptions, type QuantizedBlocks, quantizeBlocks, SLICE_ELEMENTS } from './blocks.ts'
import { type Bnb4, quantizeBnb4 } from './bnb4.ts'
import { FLOAT_BYTES, type FloatInput, lengthOf, sliceFloats } from './floats.ts'
import type { BlockLayout } from './slabs.ts'
import { mergeSlices, type Slice, sliceLayout } from './slices.ts'
import type { BlockTask } from './task.ts'
import { BlockThreads } from './threads.ts'

/**
 * Nanoseconds per element of `quantizeBlocks` on one core, with what reading takes (AMD Zen 3, 4 bits, blocks of 32 to 128;
 * bench/kernels.mjs prints them). Searches take half as long when symmetric.
 */
export const BLOCK_COST_NS: Readonly<Record<NonNullable<BlockOptions['method']> | 'bnb4', number>> = {
  minmax: 2,
  bnb4: 3,
  hqq: 20,
  mse: 18,
  k_quant: 20,
}

/** Work below this many milliseconds is done on this thread: starting threads takes about as long. */
const WORTH_THREADS_MS = 100

/** A thread is worth its start for this many milliseconds of work: of a large model another thread hashes at the same time. */
const PER_THREAD_MS = 60

/** Milliseconds that a task should take at most, so that no thread is waited for in the end. */
const TASK_MS = 25

/** Quantizes blocks on several threads, this one among them. */
export interface BlockPool {
  /** As `quantizeBlocks` (same result, to the bit); large tensors are cut into slices. Start many at once. */
  quantizeBlocks(input: FloatInput, layout: BlockLayout, options: BlockOptions): Promise<QuantizedBlocks>
  /** As `quantizeBnb4`. */
  quantizeBnb4(input: FloatInput, layout: BlockLayout, type: 'fp4' | 'nf4', blockSize: number): Promise<Bnb4>
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

/** A pool of threads for quantization in blocks. Close it when done. */
export function blockPool({
  threads,
  expectedMs = Number.POSITIVE_INFINITY,
  signal,
  worker,
}: BlockPoolOptions): BlockPool {
  const filename =
    worker ?? (import.meta.url.endsWith('.ts') ? undefined : new URL('./kernels-worker.cjs', import.meta.url))
  const count = Math.min(threads - 1, Math.floor(expectedMs / PER_THREAD_MS))
  const pool =
    filename === undefined || count < 1 || expectedMs < WORTH_THREADS_MS
      ? undefined
      : new BlockThreads(filename, count, signal)
  return {
    async quantizeBlocks(input, layout, options) {
      signal?.throwIfAborted()
      if (!pool) return quantizeBlocks(input, layout, options)
      const most = Math.min(SLICE_ELEMENTS, (TASK_MS * 1e6) / BLOCK_COST_NS[options.method ?? 'minmax'])
      const slices = sliceLayout(layout, options.blockSize, lengthOf(input) / most)
      const parts = slices.map((slice) =>
        pool.run(() => ({ kind: 'blocks', ...share(input, slice), layout: slice.layout, options })),
      )
      return mergeSlices((await Promise.all(parts)) as QuantizedBlocks[], layout, options)
    },
    async quantizeBnb4(input, layout, type, blockSize) {
      signal?.throwIfAborted()
      if (!pool) return quantizeBnb4(input, layout, type, blockSize)
      const whole = { start: 0, elements: lengthOf(input) }
      const task = (): BlockTask => ({ kind: 'bnb4', ...share(input, whole), layout, type, blockSize })
      return (await pool.run(task)) as Bnb4
    },
    async close() {
      await pool?.close()
    },
  }
}

/** A slice as other threads can read it: a place in a file, or a copy in memory that all threads see. */
function share(input: FloatInput, { start, elements }: Omit<Slice, 'layout'>): Pick<BlockTask, 'dtype' | 'source'> {
  const dtype = input instanceof Float32Array ? 'float32' : input.dtype
  const size = FLOAT_BYTES[dtype]
  const slice = sliceFloats(input, start, elements)
  const source =
    slice instanceof Float32Array ? new Uint8Array(slice.buffer, slice.byteOffset, slice.byteLength) : slice.bytes
  if (!(source instanceof Uint8Array) && source.file)
    return { dtype, source: { ...source.file, byteLength: elements * size } }
  const bytes = new Uint8Array(new SharedArrayBuffer(elements * size))
  if (source instanceof Uint8Array) bytes.set(source)
  else source.read(bytes, 0)
  return { dtype, source: bytes }
}
