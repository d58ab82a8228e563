import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import type { Context, Step } from '../context.ts'
import { expect, mismatch, type Sound } from '../flow.ts'

/** Samples that Whisper takes: 30 seconds at 16 kHz. */
const WHISPER_SAMPLES = 480_000

/** Zeros at the end, or less of it. */
function fitted(value: Value, samples: number, { ops }: Context): Value {
  const missing = ops.op('Sub', [ops.ints([samples]), ops.op('Shape', [value])])
  return ops.op('Pad', [value, ops.op('Concat', [ops.ints([0]), missing], { axis: 0 })])
}

/**
 * Power of the discrete Fourier transform of windows [window / 2 + 1, frames]: samples times a Hann window times cosines and
 * sines, as one convolution. The cosines are computed from whole numbers when the session starts, so that they take no place in
 * the file and their angles are exact.
 */
function power({ value, length }: Sound, window: number, hop: number, context: Context, step: string): Value {
  const { ops } = context
  const half = Math.floor(window / 2)
  // The ends are reflected without their last sample.
  if (length !== undefined && length <= half)
    throw mismatch(step, `takes windows of ${window} out of ${length} samples`)
  if (length === undefined) context.least = Math.max(context.least ?? 0, half + 1)
  const count = half + 1
  const list = (length: number) => Array.from({ length }, (_, i) => i)
  const padded = ops.op('Pad', [value, [half, half]], { mode: 'reflect' })
  const turns = ops.op('Mod', [
    ops.op('Mul', [ops.constant(Tensor.int64(list(count), [count, 1])), ops.ints(list(window))]),
    ops.ints([window]),
  ])
  const angles = ops.op('Mul', [ops.cast(turns, 'float32'), ops.floats((2 * Math.PI) / window)])
  const hann = ops.floats(list(window).map((n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / window)))
  const waves = ops.op('Concat', [ops.op('Cos', [angles]), ops.op('Sin', [angles])], { axis: 0 })
  const kernel = ops.op('Unsqueeze', [ops.op('Mul', [waves, hann]), [1]])
  const parts = ops.op('Conv', [ops.op('Unsqueeze', [padded, [0, 1]]), kernel], {
    strides: [hop],
    kernel_shape: [window],
  })
  const [real, imaginary] = ops.ops('Split', [ops.op('Mul', [parts, parts]), [count, count]], 2, { axis: 1 })
  return ops.op('Squeeze', [ops.op('Add', [real!, imaginary!]), [0]])
}

/** Slaney's mel scale: linear to 1000 Hz, logarithmic above. */
const toMel = (hertz: number) => (hertz < 1000 ? (3 * hertz) / 200 : 15 + (27 * Math.log(hertz / 1000)) / Math.log(6.4))
const toHertz = (mel: number) => (mel < 15 ? (200 * mel) / 3 : 1000 * Math.exp(((mel - 15) * Math.log(6.4)) / 27))

/** Triangles over frequencies, [mels, frequencies], each of the same area (Slaney). */
export function melFilters(mels: number, frequencies: number, sampleRate: number): Float32Array {
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
  const spectrum = power(expect(name, flow, 'sound'), window as number, hop as number, context, name)
  // The window after the last sample is left out.
  const whole = ops.slice(spectrum, 1, [0], [-1])
  const mel = bands(whole, window as number, mels as number, sampleRate as number, context)
  const log = ops.op('Div', [ops.op('Log', [ops.op('Max', [mel, ops.floats(1e-10)])]), ops.floats(Math.LN10)])
  const floor = ops.op('Sub', [ops.op('ReduceMax', [log]), ops.floats(8)])
  const scaled = ops.op('Div', [ops.op('Add', [ops.op('Max', [log, floor]), ops.floats(4)]), ops.floats(4)])
  return [{ kind: 'spectrum', value: scaled, dtype: 'float32', window: window as number, by: name }, ...rest]
}

export const soundSteps: Readonly<Record<string, Step>> = {
  audio,
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
        by: name,
      },
      ...rest,
    ]
  },
}
