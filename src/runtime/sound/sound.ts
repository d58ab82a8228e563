import { OnnxSessionError, reasonOf } from '../error.ts'
import type { ReadOne } from '../media.ts'
import { resample } from './resample.ts'

/** Samples of several channels. */
export interface Channels {
  sampleRate: number
  numberOfChannels: number
  getChannelData(channel: number): Float32Array
}

/** Samples of one channel. */
interface Samples {
  data: Float32Array | Int16Array
  sampleRate?: number
}

/** Reader of sound as samples of one channel, the mean of all, at the model's rate; `decode` is what the platform has for files. */
export function soundReader(decode: (bytes: ArrayBuffer, rate: number) => Promise<Channels> | Channels): ReadOne {
  return async (input, given, media) => {
    const { sampleRate: rate, least = 1 } = media as { sampleRate: number; least?: number }
    const fail = (why: string, cause?: unknown) =>
      new OnnxSessionError('INPUT_SOUND', `input "${input}": ${why}`, cause)
    let source: unknown = given
    const bytes = await bytesOf(source)
    if (bytes)
      try {
        source = await decode(bytes, rate)
      } catch (error) {
        throw fail(`no sound: ${reasonOf(error)}`, error)
      }
    const { data, sampleRate = rate }: Samples = isSamples(source)
      ? { data: source }
      : mono(source as Channels & Samples)
    if (!isSamples(data) || !(sampleRate > 0)) throw fail('no sound: samples are a Float32Array or Int16Array')
    const floats = data instanceof Int16Array ? Float32Array.from(data, (value) => value / 32768) : data
    const samples = resample(floats as Float32Array<ArrayBuffer>, sampleRate, rate)
    if (samples.length < least) throw fail(`${samples.length} samples, where it takes ${least} at least`)
    const wrong = samples.findIndex((value) => !Number.isFinite(value))
    if (wrong >= 0) throw fail(`sample ${wrong} is ${samples[wrong]}`)
    return samples
  }
}

function isSamples(value: unknown): value is Samples['data'] {
  return value instanceof Float32Array || value instanceof Int16Array
}

/** Bytes of a file. */
async function bytesOf(source: unknown): Promise<ArrayBuffer | undefined> {
  if (source instanceof ArrayBuffer) return source
  // A copy where they are part of something larger, as the browser takes them away.
  if (source instanceof Uint8Array) return new Uint8Array(source).buffer
  return (source as { arrayBuffer?(): Promise<ArrayBuffer> }).arrayBuffer?.()
}

function mono(source: Channels & Samples): Samples {
  const { numberOfChannels = 1, sampleRate } = source
  if (!source.getChannelData) return source
  const sum = new Float32Array(source.getChannelData(0))
  for (let channel = 1; channel < numberOfChannels; channel++)
    source.getChannelData(channel).forEach((value, at) => {
      sum[at]! += value
    })
  return { data: sum.map((value) => value / numberOfChannels), sampleRate }
}
