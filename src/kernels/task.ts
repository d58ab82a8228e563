import { closeSync, openSync, readSync } from 'node:fs'
import { type BlockOptions, type QuantizedBlocks, quantizeBlocks } from './blocks.ts'
import { type Bnb4, quantizeBnb4 } from './bnb4.ts'
import type { FloatData, FloatType } from './floats.ts'
import type { BlockLayout } from './slabs.ts'

/** Bytes that every thread can get at: in memory that all share, or in a file. */
export type SharedSource =
  | Uint8Array<SharedArrayBuffer>
  | { readonly path: string; readonly offset: number; readonly byteLength: number }

/** What a thread is asked: to quantize float data in blocks. */
export type BlockTask = { readonly dtype: FloatType; readonly source: SharedSource; readonly layout: BlockLayout } & (
  | { readonly kind: 'blocks'; readonly options: BlockOptions }
  | { readonly kind: 'bnb4'; readonly type: 'fp4' | 'nf4'; readonly blockSize: number }
)

/** Does a task on this thread. */
export function doTask(task: BlockTask): QuantizedBlocks | Bnb4 {
  return withSource(task, (data) =>
    task.kind === 'blocks'
      ? quantizeBlocks(data, task.layout, task.options)
      : quantizeBnb4(data, task.layout, task.type, task.blockSize),
  )
}

function withSource<T>({ dtype, source }: BlockTask, use: (data: FloatData) => T): T {
  if (source instanceof Uint8Array) return use({ dtype, bytes: source })
  const { path, offset: start, byteLength } = source
  const file = openSync(path, 'r')
  const read = (target: Uint8Array, offset: number): void => {
    for (let done = 0; done < target.length; ) {
      const count = readSync(file, target, done, target.length - done, start + offset + done)
      if (count === 0) throw new Error(`${path} ends too early`)
      done += count
    }
  }
  try {
    return use({ dtype, bytes: { byteLength, read } })
  } finally {
    closeSync(file)
  }
}

/** The memory of a result, to be handed over to another thread without a copy. */
export function memoryOf(result: QuantizedBlocks | Bnb4): ArrayBuffer[] {
  return Object.values(result).flatMap((part) => (ArrayBuffer.isView(part) ? [part.buffer as ArrayBuffer] : []))
}
