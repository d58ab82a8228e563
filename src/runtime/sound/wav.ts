import type { Channels } from './sound.ts'

/** Readers of one sample, by format and bits: whole numbers from -1 to 1, floats as they are. */
const SAMPLES: { [format: string]: (view: DataView, at: number) => number } = {
  '1/8': (view, at) => view.getUint8(at) / 128 - 1,
  '1/16': (view, at) => view.getInt16(at, true) / 2 ** 15,
  '1/24': (view, at) => (view.getUint16(at, true) / 2 ** 8 + view.getInt8(at + 2) * 2 ** 8) / 2 ** 15,
  '1/32': (view, at) => view.getInt32(at, true) / 2 ** 31,
  '3/32': (view, at) => view.getFloat32(at, true),
  '3/64': (view, at) => view.getFloat64(at, true),
}
/** The format is told further on. */
const EXTENSIBLE = 0xfffe

/**
 * The samples of a WAV file: whole numbers of 8 to 32 bits, or floats.
 *
 * @throws Error that says what it is instead
 */
export function readWav(bytes: ArrayBuffer): Channels {
  const view = new DataView(bytes)
  const name = (at: number) => (at + 4 <= bytes.byteLength ? String.fromCharCode(...new Uint8Array(bytes, at, 4)) : '')
  if (name(0) !== 'RIFF' || name(8) !== 'WAVE') throw new Error('no WAV file, which is what is read in Node')
  let format: { type: number; channels: number; sampleRate: number; bits: number } | undefined
  for (let at = 12; at + 8 <= bytes.byteLength; ) {
    const [chunk, length, start] = [name(at), view.getUint32(at + 4, true), at + 8]
    if (chunk === 'fmt ' && start + 16 <= bytes.byteLength) {
      const type = view.getUint16(start, true)
      format = {
        type: type === EXTENSIBLE && length >= 26 ? view.getUint16(start + 24, true) : type,
        channels: view.getUint16(start + 2, true),
        sampleRate: view.getUint32(start + 4, true),
        bits: view.getUint16(start + 14, true),
      }
    }
    // Of a stream the length is not known, and written as 0 or as the largest.
    if (chunk === 'data' && format) return samplesOf(view, start, length, format)
    at = start + length + (length % 2)
  }
  throw new Error('the WAV file has no samples')
}

function samplesOf(
  view: DataView,
  start: number,
  length: number,
  { type, channels, sampleRate, bits }: { type: number; channels: number; sampleRate: number; bits: number },
): Channels {
  const read = SAMPLES[`${type}/${bits}`]
  if (!read || !channels) throw new Error(`WAV files of format ${type} with ${bits} bits are not read`)
  const size = bits / 8
  const end = Math.min(length || Number.POSITIVE_INFINITY, view.byteLength - start)
  const count = Math.floor(end / size / channels)
  return {
    sampleRate,
    numberOfChannels: channels,
    getChannelData: (channel) =>
      Float32Array.from({ length: count }, (_, i) => read(view, start + (i * channels + channel) * size)),
  }
}
