import { ASTFeatureExtractor, WhisperFeatureExtractor } from '@huggingface/transformers'
import { expect, test } from 'vitest'
import { Tensor } from '../../../src/graph/tensor.ts'
import { apart, evaluate, passingOn, process } from './support.ts'

/** Two tones, one of them fading, and noise. */
const samples = Float32Array.from({ length: 16_000 * 3 + 77 }, (_, i) => {
  const noise = ((Math.imul(i, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5
  return 0.4 * Math.sin(i * 0.17) * Math.exp(-i / 20_000) + 0.2 * Math.sin(i * 0.61) + 0.02 * noise
})

test('whisper: equal to the feature extractor of transformers.js within 1e-3', async () => {
  const extractor = new WhisperFeatureExtractor({
    feature_size: 80,
    hop_length: 160,
    n_fft: 400,
    n_samples: 480_000,
    nb_max_frames: 3000,
    sampling_rate: 16_000,
    chunk_length: 30,
  })
  const { input_features: expected } = await extractor._call(samples)
  const model = passingOn(['batch', 80, 3000])
  const result = await process(model, { preprocess: 'whisper' })
  expect(result.media).toEqual({ x: { kind: 'sound', sampleRate: 16_000 } })
  const { y } = await evaluate(model, { x: Tensor.float32([samples.length], samples) })
  expect(y!.dims).toEqual([1, 80, 3000])
  expect(apart(y!.toNumbers(), expected.data as Float32Array)).toBeLessThan(1e-3)
})

test('spectrogram: equal to a discrete Fourier transform written out', async () => {
  const model = passingOn([1, 33, 'frames'])
  await process(model, { preprocess: 'spectrogram(window:64,hop:50)' })
  const short = samples.slice(0, 400)
  const { y } = await evaluate(model, { x: Tensor.float32([400], short) })
  expect(y!.dims).toEqual([1, 33, 9])
  const at = (i: number) => short[i < 0 ? -i : i > 399 ? 798 - i : i]!
  const expected = Array.from({ length: 33 * 9 }, (_, i) => {
    const [k, frame] = [Math.floor(i / 9), i % 9]
    let [real, imaginary] = [0, 0]
    for (let n = 0; n < 64; n++) {
      const value = at(frame * 50 + n - 32) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / 64))
      real += value * Math.cos((2 * Math.PI * k * n) / 64)
      imaginary += value * Math.sin((2 * Math.PI * k * n) / 64)
    }
    return real ** 2 + imaginary ** 2
  })
  expect(apart(y!.toNumbers(), expected)).toBeLessThan(1e-4)
})

test.each([
  [undefined, {}],
  [200, { mean: -4.2677393, std: 9.1379948 }],
] as const)(
  "fbank, %j frames: equal to Kaldi's filter banks as transformers.js computes them, within 5e-3, 1e-4 on average",
  async (frames, normalization) => {
    const extractor = new ASTFeatureExtractor({ sampling_rate: 16_000, num_mel_bins: 128, max_length: 200 })
    const wanted = (await extractor._extract_fbank_features(samples, (frames ?? null) as number)) as {
      data: Float32Array
      dims: number[]
    }
    const model = passingOn([1, 'frames', 128])
    await process(model, {
      preprocess: { step: 'fbank', mels: 128, windowType: 'hann', ...(frames ? { frames } : {}), ...normalization },
    })
    const { y } = await evaluate(model, { x: Tensor.float32([samples.length], samples) })
    expect(y!.dims).toEqual([1, ...wanted.dims])
    const { mean = 0, std = 1 } = normalization as { mean?: number; std?: number }
    const expected = wanted.data.map((value) => (value - mean) / std)
    const found = y!.toNumbers()
    expect(apart(found, expected)).toBeLessThan(5e-3 / std)
    const sum = found.reduce((total, value, i) => total + Math.abs(value - expected[i]!), 0)
    expect(sum / found.length).toBeLessThan(1e-4)
  },
)

test('fbank: padded with zeros; too few samples are refused', async () => {
  const model = passingOn([1, 12, 40])
  const { media } = await process(model, { preprocess: 'fbank(mels:40,frames:12,scale:32768,windowType:povey)' })
  expect(media).toEqual({ x: { kind: 'sound', sampleRate: 16_000, least: 400 } })
  const { y } = await evaluate(model, { x: Tensor.float32([720], samples.slice(0, 720)) })
  const rows = Array.from({ length: 12 }, (_, i) => y!.toNumbers().slice(i * 40, i * 40 + 40))
  expect(rows.map((row) => row.every((value) => value === 0))).toEqual(Array.from({ length: 12 }, (_, i) => i > 2))
  // The second frame written out: mean off, pre-emphasis, Povey's window, the transform, bands.
  const frame = Array.from(samples.slice(160, 560), (value) => value * 32768)
  const mean = frame.reduce((sum, value) => sum + value, 0) / 400
  const flat = frame.map((value) => value - mean)
  const shaped = flat.map(
    (value, n) => (value - 0.97 * flat[Math.max(0, n - 1)]!) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / 399)) ** 0.85,
  )
  const power = Array.from({ length: 257 }, (_, k) => {
    const part = (wave: (angle: number) => number) =>
      shaped.reduce((sum, value, n) => sum + value * wave((2 * Math.PI * k * n) / 512), 0)
    return part(Math.cos) ** 2 + part(Math.sin) ** 2
  })
  const toMel = (hertz: number) => 1127 * Math.log(1 + hertz / 700)
  const step = (toMel(8000) - toMel(20)) / 41
  const bands = Array.from({ length: 40 }, (_, band) => {
    const [left, right] = [toMel(20) + band * step, toMel(20) + (band + 2) * step]
    const weight = (mel: number) => Math.max(0, Math.min((mel - left) / step, (right - mel) / step))
    return Math.log(power.reduce((sum, value, k) => sum + value * weight(toMel((k * 16_000) / 512)), 0))
  })
  // Float32 resolves 80 dB below the loudest band; what is lower is rounding.
  const loud = bands.flatMap((value, i) => (value > Math.max(...bands) - Math.log(1e8) ? [rows[1]![i]! - value] : []))
  expect(loud.length).toBeGreaterThan(20)
  expect(Math.max(...loud.map(Math.abs))).toBeLessThan(1e-3)
})

test('audio: normalized, then padded', async () => {
  const model = passingOn([1, 6])
  await process(model, { preprocess: 'audio(samples:6,normalize:true)' })
  const { y } = await evaluate(model, { x: Tensor.float32([4], [1, 2, 3, 6]) })
  const expected = [-2, -1, 0, 3, 0, 0].map((value) => value / Math.sqrt(3.5))
  expect(apart(y!.toNumbers(), expected)).toBeLessThan(1e-5)
})

test.each([
  [
    [1, 6],
    [1, 6],
  ],
  [
    ['n', 6, 1],
    [1, 6, 1],
  ],
  [
    [1, 1, 6],
    [1, 1, 6],
  ],
  [
    ['n', 'samples', 1],
    [1, 4, 1],
  ],
  [['samples'], [4]],
] as const)('samples for an input %j', async (dims, wanted) => {
  const model = passingOn(dims)
  await process(model, { preprocess: 'audio' })
  const { y } = await evaluate(model, { x: Tensor.float32([4], [1, 2, 3, 6]) })
  expect(y!.dims).toEqual(wanted)
  expect(y!.toNumbers().slice(0, 4)).toEqual([1, 2, 3, 6])
})

test.each([
  ['audio(5)', [1, 6], 'gives 5 samples'],
  ['whisper', [1, 128, 3000], 'gives [80, 3000]'],
  ['whisper', [1, 80, 1500], 'gives [80, 3000]'],
  ['fbank(mels:40)', [1, 1024, 128], 'gives [?, 40]'],
  ['logMel', [80], 'gives [80, ?]'],
] as const)('%s for an input %j is refused', async (preprocess, dims, text) => {
  await expect(process(passingOn(dims), { preprocess })).rejects.toMatchObject({
    code: 'PROCESSING_STEPS',
    message: expect.stringContaining(text),
  })
})

test('sound for a model that takes images is refused', async () => {
  await expect(process(passingOn([1, 3, 8, 8]), { preprocess: 'whisper' })).rejects.toMatchObject({
    code: 'PROCESSING_INPUT',
  })
})
