import { type BlockOptions, type QuantizedBlocks, quantizeBlocks } from './blocks.ts'
import type { FloatType } from './floats.ts'
import type { BlockLayout } from './tiles.ts'

/** What a thread is asked: to quantize blocks of float data in shared memory. */
export interface BlockTask {
  readonly dtype: FloatType
  readonly bytes: Uint8Array<SharedArrayBuffer>
  readonly layout: BlockLayout
  readonly options: BlockOptions
}

/** Entry of a worker thread of `blockPool`. */
export default function work({ dtype, bytes, layout, options }: BlockTask): QuantizedBlocks {
  return quantizeBlocks({ dtype, bytes }, layout, options)
}
