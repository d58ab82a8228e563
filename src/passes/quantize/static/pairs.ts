import {
  type ChannelLayout,
  channelLayout,
  type FloatInput,
  lengthOf,
  pairAbsMax,
  permute,
  toFloat32,
} from '../../../kernels/index.ts'

/**
 * Largest sums of two neighbouring weights along what a product sums over, by channel of `layout`; undefined where the operator's
 * kernel adds no pairs. CPUs without VNNI add pairs of products in 16 bits.
 */
export function safePairs(
  data: FloatInput,
  dims: readonly number[],
  layout: ChannelLayout,
  op: string,
): Float32Array | undefined {
  const pairs = pairsOf(data, dims, op)
  if (!pairs || pairs.length === layout.channels) return pairs
  let most = 0
  for (const pair of pairs) most = Math.max(most, pair)
  return new Float32Array(layout.channels).fill(most)
}

function pairsOf(data: FloatInput, dims: readonly number[], op: string): Float32Array | undefined {
  if (dims.length < 2) return undefined
  if (op === 'MatMul' || op === 'Gemm') return pairAbsMax(data, channelLayout(dims, -1), dims.at(-2)!)
  if (op === 'Gemm:transB') return rows(data, dims[0]!)
  if (op !== 'Conv') return undefined
  // Convolutions are products over all places of the kernel, and the channels of each place.
  const order = [0, ...dims.slice(2).map((_, i) => i + 2), 1]
  const floats = toFloat32(data)
  const bytes = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength)
  const moved = permute(bytes, dims, order, 4)
  const values = new Float32Array(moved.buffer, moved.byteOffset, moved.length / 4)
  return rows(values, dims[0]!)
}

/** Channels are rows. */
function rows(data: FloatInput, channels: number): Float32Array {
  const inner = lengthOf(data) / channels
  return pairAbsMax(data, { outer: 1, channels, inner }, inner)
}
