import { WhisperFeatureExtractor } from '@huggingface/transformers'
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

test('audio: normalized, then padded', async () => {
  const model = passingOn([1, 6])
  await process(model, { preprocess: 'audio(samples:6,normalize:true)' })
  const { y } = await evaluate(model, { x: Tensor.float32([4], [1, 2, 3, 6]) })
  const expected = [-2, -1, 0, 3, 0, 0].map((value) => value / Math.sqrt(3.5))
  expect(apart(y!.toNumbers(), expected)).toBeLessThan(1e-5)
})

test('sound for a model that takes images is refused', async () => {
  await expect(process(passingOn([1, 3, 8, 8]), { preprocess: 'whisper' })).rejects.toMatchObject({
    code: 'PROCESSING_INPUT',
  })
})
