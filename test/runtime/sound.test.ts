import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resample } from '../../src/runtime/sound/resample.ts'
import { readWav } from '../../src/runtime/sound/wav.ts'
import type { Model, Session } from '../../src/runtime/types.ts'
import { apart, passingOn } from '../passes/processing/support.ts'
import { chromiumPath } from '../support/chromium.ts'
import { projectFolder } from './support/emitted.ts'
import { emitSteps, loadEmitted, withPage } from './support/steps.ts'

const folder = projectFolder()
afterAll(() => rmSync(folder, { recursive: true }))

/** `hertz` at `rate` samples a second. */
const tone = (hertz: number, rate: number, length: number) =>
  Float32Array.from({ length }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hertz * i) / rate))
/** Without the ends, where half of what counts is missing. */
const middle = (samples: ArrayLike<number>, edge = 200) => Array.from(samples).slice(edge, -edge)

/** A WAV file of interleaved samples from -1 to 1. */
function wav(type: number, bits: number, channels: number, rate: number, samples: readonly number[], more = 0): Buffer {
  const size = bits / 8
  const file = Buffer.alloc(44 + more + samples.length * size)
  file.write('RIFF', 0)
  file.writeUInt32LE(file.length - 8, 4)
  file.write('WAVEfmt ', 8)
  file.writeUInt32LE(16, 16)
  file.writeUInt16LE(type, 20)
  file.writeUInt16LE(channels, 22)
  file.writeUInt32LE(rate, 24)
  file.writeUInt32LE(rate * channels * size, 28)
  file.writeUInt16LE(channels * size, 32)
  file.writeUInt16LE(bits, 34)
  if (more) {
    file.write('LIST', 36)
    file.writeUInt32LE(more - 8, 40)
  }
  file.write('data', 36 + more)
  file.writeUInt32LE(samples.length * size, 40 + more)
  samples.forEach((value, i) => {
    const at = 44 + more + i * size
    if (type === 3) bits === 64 ? file.writeDoubleLE(value, at) : file.writeFloatLE(value, at)
    else if (bits === 8) file.writeUInt8(Math.round(value * 127) + 128, at)
    else file.writeIntLE(Math.round(value * (2 ** (bits - 1) - 1)), at, size)
  })
  return file
}

describe('resampling', () => {
  test.each([
    [44_100, 16_000],
    [48_000, 16_000],
    [8_000, 16_000],
    [11_025, 16_000],
  ])('%i to %i: tones stay, others go', (from, to) => {
    const length = from / 5
    const [kept] = [0.4 * Math.min(from, to)]
    const result = resample(tone(kept, from, length), from, to)
    expect(result.length).toBe(Math.round((length * to) / from))
    expect(apart(middle(result), middle(tone(kept, to, result.length)))).toBeLessThan(1e-3)
    const steady = resample(new Float32Array(length).fill(0.25), from, to)
    expect(apart(middle(steady), middle(new Float32Array(steady.length).fill(0.25)))).toBeLessThan(1e-6)
    if (from > to) {
      const gone = resample(tone(0.55 * to, from, length), from, to)
      expect(Math.max(...middle(gone).map(Math.abs))).toBeLessThan(1e-3)
    }
  })

  test('the same rate is the same array', () => {
    const samples = tone(440, 16_000, 100)
    expect(resample(samples, 16_000, 16_000)).toBe(samples)
  })
})

describe('WAV files', () => {
  const samples = [0, 0.5, -0.5, 1, -1, 0.25, 0.125, -0.75]
  test.each([
    [1, 8, 2 / 256],
    [1, 16, 1e-4],
    [1, 24, 1e-6],
    [1, 32, 1e-7],
    [3, 32, 0],
    [3, 64, 0],
  ])('format %i with %i bits', (type, bits, tolerance) => {
    for (const more of [0, 20]) {
      const file = wav(type, bits, 2, 22_050, samples, more)
      const read = readWav(new Uint8Array(file).buffer)
      expect(read).toMatchObject({ sampleRate: 22_050, numberOfChannels: 2 })
      expect(
        apart(
          read.getChannelData(1),
          samples.filter((_, i) => i % 2),
        ),
      ).toBeLessThanOrEqual(tolerance)
    }
  })

  test('of a stream the length is not known', () => {
    const file = wav(1, 16, 1, 16_000, samples)
    file.writeUInt32LE(0xffffffff, 40)
    expect(readWav(new Uint8Array(file).buffer).getChannelData(0)).toHaveLength(samples.length)
  })

  test.each([
    ['no file', Buffer.from('ID3 something else'), 'no WAV file'],
    ['an end too early', wav(1, 16, 1, 16_000, samples).subarray(0, 30), 'no samples'],
    ['compressed samples', wav(2, 8, 1, 16_000, samples), 'format 2 with 8 bits'],
    ['nothing', Buffer.alloc(0), 'no WAV file'],
  ])('%s', (_, file, text) => {
    expect(() => readWav(new Uint8Array(file).buffer)).toThrow(text)
  })
})

describe('in Node', () => {
  let session: Session
  beforeAll(async () => {
    const code = await emitSteps(folder, passingOn([1, 'n']), { preprocess: 'audio' }, 'node')
    session = await (await loadEmitted<Model>(folder, code))()
  })
  afterAll(() => session.dispose())
  const run = async (feed: unknown) => (await session.run(feed as never))['y']!.data as Float32Array
  const wanted = tone(1000, 16_000, 8_000)

  test('samples, integers, another rate, files and their bytes', async () => {
    const integers = Int16Array.from(wanted, (value) => Math.round(value * 32767))
    const file = wav(3, 32, 1, 16_000, [...wanted])
    const stereo = wav(
      1,
      16,
      2,
      44_100,
      [...tone(1000, 44_100, 22_050)].flatMap((value) => [value * 2, 0]),
    )
    for (const [given, tolerance] of [
      [wanted, 0],
      [{ x: wanted }, 0],
      [integers, 1e-4],
      [{ data: integers, sampleRate: 16_000 }, 1e-4],
      [{ data: tone(1000, 48_000, 24_000), sampleRate: 48_000 }, 1e-3],
      [file, 1e-7],
      [new Uint8Array(file).buffer, 1e-7],
      [new Blob([new Uint8Array(file)]), 1e-7],
      [stereo, 2e-3],
    ] as const) {
      const found = await run(given)
      expect(found).toHaveLength(8_000)
      expect(apart(middle(found), middle(wanted))).toBeLessThanOrEqual(tolerance)
    }
  })

  test.each([
    ['no samples', new Float32Array(0), '0 samples'],
    ['not a number', Float32Array.of(0, Number.NaN), 'sample 1 is NaN'],
    ['infinity', { data: Float32Array.of(Number.POSITIVE_INFINITY), sampleRate: 16_000 }, 'sample 0 is Infinity'],
    ['another file', Buffer.from('not a sound'), 'no WAV file'],
    ['a rate of zero', { data: new Float32Array(9), sampleRate: 0 }, 'samples are a Float32Array'],
    ['anything', new Date(), 'samples are a Float32Array'],
  ])('%s is refused', async (_, given, text) => {
    await expect(run(given)).rejects.toMatchObject({ code: 'INPUT_SOUND', message: expect.stringContaining(text) })
  })

  test('sound that is shorter than half a window is refused; the build refuses such a length', async () => {
    const code = await emitSteps(
      folder,
      passingOn([1, 33, 'n']),
      { preprocess: 'spectrogram(window:64,hop:50)' },
      'node',
    )
    const model = await loadEmitted<Model>(folder, code)
    expect(model.inputs[0]!.media).toEqual({ kind: 'sound', sampleRate: 16_000, least: 33 })
    const short = await model()
    await expect(short.run({ x: new Float32Array(32) } as never)).rejects.toMatchObject({ code: 'INPUT_SOUND' })
    expect((await short.run({ x: new Float32Array(33) } as never))['y']!.dims).toEqual([1, 33, 1])
    await short.dispose()
    await expect(
      emitSteps(folder, passingOn([1, 33, 'n']), { preprocess: 'audio(30),spectrogram(window:64)' }, 'node'),
    ).rejects.toMatchObject({ code: 'PROCESSING_STEPS' })
  })
})

declare function run(kind: string, file: number[]): Promise<{ data: number[]; code?: string }>

describe.skipIf(!chromiumPath)('in Chromium', () => {
  test('what an OfflineAudioContext renders, files, samples', async () => {
    const module = await emitSteps(folder, passingOn([1, 'n']), { preprocess: 'audio' }, 'web')
    const app = `
      const rendered = async (rate, channels) => {
        const context = new OfflineAudioContext(channels, rate / 2, rate)
        const oscillator = new OscillatorNode(context, { frequency: 1000 })
        oscillator.connect(new GainNode(context, { gain: 0.5 })).connect(context.destination)
        oscillator.start()
        return context.startRendering()
      }
      globalThis.run = async (kind, file) => {
        const make = {
          same: () => rendered(16000, 1),
          other: () => rendered(44100, 2),
          file: () => new Blob([Uint8Array.from(file)], { type: 'audio/wav' }),
          bytes: () => Uint8Array.from(file),
          buffer: () => Uint8Array.from(file).buffer,
          samples: async () => (await rendered(16000, 1)).getChannelData(0),
          broken: () => Uint8Array.of(1, 2, 3),
        }
        globalThis.session ??= await model({ target: 'wasm' })
        try {
          return { data: [...(await session.run(await make[kind]())).y.data] }
        } catch (error) {
          return { data: [], code: error.code }
        }
      }`
    const wanted = tone(1000, 16_000, 8_000)
    const file = [...wav(1, 16, 1, 48_000, [...tone(1000, 48_000, 24_000)])]
    await withPage({ folder, module, app }, async (page) => {
      const ask = (kind: string) =>
        page.evaluate(([what, bytes]) => run(what, bytes), [kind, file] as [string, number[]])
      // Chromium's oscillator is a table of waves, and it resamples files by itself.
      for (const kind of ['same', 'other', 'samples', 'file', 'bytes', 'buffer']) {
        const { data } = await ask(kind)
        expect(Math.abs(data.length - 8_000)).toBeLessThanOrEqual(1)
        expect([kind, apart(middle(data), middle(wanted.slice(0, data.length))) < 5e-3]).toEqual([kind, true])
      }
      expect(await ask('broken')).toEqual({ data: [], code: 'INPUT_SOUND' })
    })
  })
})
