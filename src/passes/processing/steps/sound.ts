import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { type Context, numbersOf, type Step } from '../context.ts'
import { expect, mismatch, type Sound } from '../flow.ts'
import { fitted } from './samples.ts'

/** Samples that Whisper takes: 30 seconds at 16 kHz. */
const WHISPER_SAMPLES = 480_000

const list = (length: number): number[] => Array.from({ length }, (_, i) => i)

/**
 * Cosines, then sines, of all frequencies of a discrete Fourier transform of `size` over the samples of a window: [2 * count, window].
 * They are computed from whole numbers when the session starts, so that they take no place in the file and their angles are exact.
 */
function waves(window: number, size: number, { ops }: Context): Value {
  const count = Math.floor(size / 2) + 1
  const products = ops.op('Mul', [ops.constant(Tensor.int64(list(count), [count, 1])), ops.ints(list(window))])
  const turns = ops.op('Mod', [products, ops.ints([size])])
  const angles = ops.op('Mul', [ops.cast(turns, 'float32'), ops.floats((2 * Math.PI) / size)])
  return ops.op('Concat', [ops.op('Cos', [angles]), ops.op('Sin', [angles])], { axis: 0 })
}

/** Power [frequencies, frames] of samples under a kernel of cosines and sines: one convolution. */
function powerUnder(kernel: Value, samples: Value, window: number, size: number, hop: number, { ops }: Context): Value {
  const count = Math.floor(size / 2) + 1
  const parts = ops.op('Conv', [ops.op('Unsqueeze', [samples, [0, 1]]), ops.op('Unsqueeze', [kernel, [1]])], {
    strides: [hop],
    kernel_shape: [window],
  })
  const [real, imaginary] = ops.ops('Split', [ops.op('Mul', [parts, parts]), [count, count]], 2, { axis: 1 })
  return ops.op('Squeeze', [ops.op('Add', [real!, imaginary!]), [0]])
}

/** Power of the discrete Fourier transform of windows (Hann) [window / 2 + 1, frames], centred on every hop, ends reflected. */
function power({ value, length }: Sound, window: number, hop: number, context: Context, step: string): Value {
  const { ops } = context
  const half = Math.floor(window / 2)
  // The ends are reflected without their last sample.
  needs(half + 1, window, length, context, step)
  const padded = ops.op('Pad', [value, [half, half]], { mode: 'reflect' })
  const hann = ops.floats(list(window).map((n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / window)))
  return powerUnder(ops.op('Mul', [waves(window, window, context), hann]), padded, window, window, hop, context)
}

/** Remembers how many samples there must be; where it is known that there are fewer, the steps do not fit. */
function needs(least: number, window: number, length: number | undefined, context: Context, step: string): void {
  if (length !== undefined && length < least)
    throw mismatch(step, `takes windows of ${window} out of ${length} samples`)
  if (length === undefined) context.least = Math.max(context.least ?? 0, least)
}

/** Slaney's mel scale: linear to 1000 Hz, logarithmic above. */
const toMel = (hertz: number) => (hertz < 1000 ? (3 * hertz) / 200 : 15 + (27 * Math.log(hertz / 1000)) / Math.log(6.4))
const toHertz = (mel: number) => (mel < 15 ? (200 * mel) / 3 : 1000 * Math.exp(((mel - 15) * Math.log(6.4)) / 27))

/** Triangles over frequencies, [mels, frequencies], each of the same area (Slaney). */
function melFilters(mels: number, frequencies: number, sampleRate: number): Float32Array {
  const top = toMel(sampleRate / 2)
  const edges = Array.from({ length: mels + 2 }, (_, i) => toHertz((top * i) / (mels + 1)))
  const filters = new Float32Array(mels * frequencies)
  for (let m = 0; m < mels; m++) {
    const [low, middle, high] = edges.slice(m, m + 3) as [number, number, number]
    for (let f = 0; f < frequencies; f++) {
      const hertz = (f * sampleRate) / 2 / (frequencies - 1)
      const height = Math.min((hertz - low) / (middle - low), (high - hertz) / (high - middle))
      filters[m * frequencies + f] = (Math.max(0, height) * 2) / (high - low)
    }
  }
  return filters
}

function bands(spectrum: Value, window: number, mels: number, sampleRate: number, { ops }: Context): Value {
  const count = Math.floor(window / 2) + 1
  return ops.op('MatMul', [ops.floats(melFilters(mels, count, sampleRate), [mels, count]), spectrum])
}

/** Windows of Kaldi, symmetric: Povey's is Hann's to the power of 0.85. */
const WINDOWS: Readonly<Record<string, (turn: number) => number>> = {
  povey: (turn) => (0.5 - 0.5 * Math.cos(turn)) ** 0.85,
  hann: (turn) => 0.5 - 0.5 * Math.cos(turn),
  hamming: (turn) => 0.54 - 0.46 * Math.cos(turn),
}

/** Least energy that a logarithm is taken of: the smallest step of a float32 at 1. */
const KALDI_FLOOR = 2 ** -23

/** Triangles over frequencies on Kaldi's mel scale, [mels, frequencies], each of height 1. */
function kaldiFilters(mels: number, size: number, sampleRate: number, lowest: number): Float32Array {
  const mel = (hertz: number) => 1127 * Math.log(1 + hertz / 700)
  const [from, to] = [mel(lowest), mel(sampleRate / 2)]
  const step = (to - from) / (mels + 1)
  const count = size / 2 + 1
  return Float32Array.from({ length: mels * count }, (_, at) => {
    const middle = from + (Math.floor(at / count) + 1) * step
    return Math.max(0, 1 - Math.abs(mel(((at % count) * sampleRate) / size) - middle) / step)
  })
}

/**
 * Kaldi's filter banks. Taking off the mean of a window, pre-emphasis, its shape and the Fourier transform are all linear: together
 * they are the kernel of one convolution.
 */
const fbank: Step = ([flow, ...rest], args, context, name) => {
  const { ops } = context
  const sound = expect(name, flow, 'sound')
  const [window, hop, mels, rate] = [args['window'], args['hop'], args['mels'], args['sampleRate']] as number[] as [
    number,
    number,
    number,
    number,
  ]
  needs(window, window, sound.length, context, name)
  const size = 2 ** Math.ceil(Math.log2(window))
  const shape = WINDOWS[args['windowType'] as string]!
  const weights = ops.floats(
    list(window).map((n) => (args['scale'] as number) * shape((2 * Math.PI * n) / (window - 1))),
  )
  const shaped = ops.op('Mul', [waves(window, size, context), weights])
  // y[0] = x[0] - c x[0], y[n] = x[n] - c x[n - 1]: what a wave takes of y, as what it takes of x.
  const [first, after] = [ops.slice(shaped, 1, [0], [1]), ops.slice(shaped, 1, [1], [Number.MAX_SAFE_INTEGER])]
  const twice = ops.op(
    'Concat',
    [ops.op('Add', [first, ops.slice(shaped, 1, [1], [2])]), ops.slice(after, 1, [1], [window])],
    {
      axis: 1,
    },
  )
  const before = ops.op('Pad', [twice, [0, 0, 0, 1]])
  const emphasized = ops.op('Sub', [shaped, ops.op('Mul', [before, ops.floats(args['preemphasis'] as number)])])
  const kernel = ops.op('Sub', [emphasized, ops.op('ReduceMean', [emphasized, [-1]])])
  const spectrum = powerUnder(kernel, sound.value, window, size, hop, context)
  const filters = ops.floats(kaldiFilters(mels, size, rate, args['lowest'] as number), [mels, size / 2 + 1])
  const energies = ops.op('Max', [ops.op('MatMul', [filters, spectrum]), ops.floats(KALDI_FLOOR)])
  let value = ops.op('Transpose', [ops.op('Log', [energies])], { perm: [1, 0] })
  if (args['frames'] !== undefined) {
    const missing = ops.op('Sub', [ops.ints([args['frames'] as number]), ops.sizes(value, 0, 1)])
    value = ops.op('Pad', [value, ops.op('Concat', [ops.ints([0, 0]), missing, ops.ints([0])], { axis: 0 })])
  }
  const [mean, std] = [numbersOf(args['mean']), numbersOf(args['std'])]
  for (const numbers of [mean, std])
    if (numbers && numbers.length !== 1 && numbers.length !== mels)
      throw mismatch(name, `has ${numbers.length} numbers for ${mels} bands`)
  if (mean) value = ops.op('Sub', [value, ops.floats(mean)])
  if (std) value = ops.op('Div', [value, ops.floats(std)])
  const sizes = [args['frames'] as number | undefined, mels] as const
  return [{ kind: 'spectrum', value, dtype: 'float32', window, sizes, by: name }, ...rest]
}

const audio: Step = ([flow, ...rest], { samples, normalize }, context, name) => {
  const sound = expect(name, flow, 'sound')
  const { ops } = context
  let { value } = sound
  if (normalize) {
    const centred = ops.op('Sub', [value, ops.op('ReduceMean', [value])])
    const variance = ops.op('ReduceMean', [ops.op('Mul', [centred, centred])])
    value = ops.op('Div', [centred, ops.op('Sqrt', [ops.op('Add', [variance, ops.floats(1e-7)])])])
  }
  if (samples !== undefined) value = fitted(value, samples as number, context)
  return [{ ...sound, value, by: name, ...(samples === undefined ? {} : { length: samples as number }) }, ...rest]
}

const logMel: Step = ([flow, ...rest], { mels, sampleRate, window, hop }, context, name) => {
  const { ops } = context
  const sound = expect(name, flow, 'sound')
  const spectrum = power(sound, window as number, hop as number, context, name)
  // The window after the last sample is left out.
  const whole = ops.slice(spectrum, 1, [0], [-1])
  const mel = bands(whole, window as number, mels as number, sampleRate as number, context)
  const log = ops.op('Div', [ops.op('Log', [ops.op('Max', [mel, ops.floats(1e-10)])]), ops.floats(Math.LN10)])
  const floor = ops.op('Sub', [ops.op('ReduceMax', [log]), ops.floats(8)])
  const scaled = ops.op('Div', [ops.op('Add', [ops.op('Max', [log, floor]), ops.floats(4)]), ops.floats(4)])
  const frames = sound.length === undefined ? undefined : Math.floor(sound.length / (hop as number))
  const sizes = [mels as number, frames] as const
  return [{ kind: 'spectrum', value: scaled, dtype: 'float32', window: window as number, sizes, by: name }, ...rest]
}

export const soundSteps: Readonly<Record<string, Step>> = {
  audio,
  fbank,
  logMel,
  whisper: (flows, args, context, name) =>
    logMel(audio(flows, { samples: WHISPER_SAMPLES }, context, name), args, context, name),
  spectrogram: ([flow, ...rest], { window, hop }, context, name) => {
    const spectrum = power(expect(name, flow, 'sound'), window as number, hop as number, context, name)
    return [{ kind: 'spectrum', value: spectrum, dtype: 'float32', window: window as number, by: name }, ...rest]
  },
  mel: ([flow, ...rest], { mels, sampleRate }, context, name) => {
    const { value, window } = expect(name, flow, 'spectrum')
    if (window < 2) throw mismatch(name, 'takes a spectrogram')
    return [
      {
        ...expect(name, flow, 'spectrum'),
        value: bands(value, window, mels as number, sampleRate as number, context),
        sizes: [mels as number, undefined],
        by: name,
      },
      ...rest,
    ]
  },
}
