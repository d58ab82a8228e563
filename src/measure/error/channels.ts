import { channelLayout } from '../../kernels/index.ts'

/** Sums by channel: enough to tell the error that is left when each channel is multiplied by the factor that fits best. */
export interface ChannelSums {
  dot: Float64Array
  expected: Float64Array
  found: Float64Array
}

/** Most elements of a sample that are looked at channel by channel. */
const MOST = 2 ** 22

/**
 * Adds a sample. Channels are those of the last axis, of axis 1 with four axes and more, as normalizations have them.
 *
 * @returns undefined where the number of channels differs from that of samples before, or there is nothing to tell channels apart by
 */
export function addChannelSums(
  sums: ChannelSums | undefined,
  expected: Float32Array,
  found: Float32Array,
  dims: readonly number[],
): ChannelSums | undefined {
  if (dims.length < 2 || expected.length > MOST) return undefined
  const { channels, inner } = channelLayout(dims, dims.length >= 4 ? 1 : -1)
  // With a factor for every few values anything fits.
  if (expected.length < channels * 8 || (sums && sums.dot.length !== channels)) return undefined
  const into = sums ?? {
    dot: new Float64Array(channels),
    expected: new Float64Array(channels),
    found: new Float64Array(channels),
  }
  for (let i = 0; i < expected.length; i++) {
    const channel = Math.floor(i / inner) % channels
    const [a, b] = [expected[i]!, found[i]!]
    into.dot[channel]! += a * b
    into.expected[channel]! += a * a
    into.found[channel]! += b * b
  }
  return into
}

/** Signal and noise with a factor for every channel. */
export function fitted({ dot, expected, found }: ChannelSums): { signal: number; noise: number } {
  let [signal, noise] = [0, 0]
  for (let i = 0; i < dot.length; i++) {
    const explained = expected[i]! > 0 ? dot[i]! ** 2 / expected[i]! : 0
    signal += explained
    noise += Math.max(0, found[i]! - explained)
  }
  return { signal, noise }
}
