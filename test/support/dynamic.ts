import { expect } from 'vitest'
import type { Model } from '../../src/graph/model.ts'
import type { Node } from '../../src/graph/node.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import type { Note, PassResult } from '../../src/passes/pass.ts'
import { run } from '../../src/passes/quantize/dynamic/run.ts'
import type { DynamicOptions } from '../../src/passes/quantize/dynamic/tools.ts'
import { copyOf, passContext, runModel, signatureOf } from './models.ts'

/** The plain recipe that the reference tool uses by default. */
export const PLAIN = {
  weightType: 'int8',
  perChannel: false,
  reduceRange: false,
  smoothNorms: false,
  floatOutliers: false,
} as const

/** Quantizes a model in place, with defaults where `options` does not say otherwise. */
export async function quantizeDynamic(
  model: Model,
  options: Partial<DynamicOptions> = {},
): Promise<PassResult & { notes: Note[] }> {
  const context = passContext()
  const result = await run(model, { quantize: 'dynamic', perChannel: true, matmulConstOnly: true, ...options }, context)
  return { ...result, notes: context.notes }
}

/** Bell-shaped floats, the same for the same seed. */
export function randomTensor(dims: readonly number[], seed = 1, spread = 1): Tensor {
  let state = seed * 2654435761
  const next = (): number => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5
    return (state >>> 0) / 2 ** 32
  }
  const count = dims.reduce((a, b) => a * b, 1)
  return Tensor.float32(
    dims,
    Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * spread),
  )
}

/** Cosine of the angle between two tensors. */
export function cosine(a: Tensor, b: Tensor): number {
  const [x, y] = [a.toNumbers(), b.toNumbers()]
  let [dot, xx, yy] = [0, 0, 0]
  x.forEach((value, i) => {
    dot += value * y[i]!
    xx += value * value
    yy += y[i]! * y[i]!
  })
  return xx === 0 && yy === 0 ? 1 : dot / Math.sqrt(xx * yy)
}

/** What became of a model, and how its outputs compare. */
export interface Outcome {
  model: Model
  changes: number
  notes: string[]
  ops: Record<string, number>
  /** Lowest cosine of an output with the float model's. */
  cosine: number
  outputs: Record<string, Tensor>
}

/**
 * Quantizes a copy of `model` and runs both in ONNX Runtime. Fails unless inputs and outputs are the same as before, and (with 0
 * changes) the model too.
 */
export async function compareQuantized(
  original: Model,
  feeds: Readonly<Record<string, Tensor>>,
  options: Partial<DynamicOptions> = {},
): Promise<Outcome> {
  const model = copyOf(original)
  const { changes, notes } = await quantizeDynamic(model, options)
  expect(signatureOf(model)).toBe(signatureOf(original))
  const [expected, outputs] = [await runModel(original, feeds), await runModel(model, feeds)]
  const cosines = Object.entries(expected).map(([name, tensor]) => {
    expect(outputs[name]?.dtype).toBe(tensor.dtype)
    expect(outputs[name]?.dims).toEqual(tensor.dims)
    return cosine(outputs[name]!, tensor)
  })
  return {
    model,
    changes,
    notes: notes.map(({ message }) => message),
    ops: model.histogram(),
    cosine: Math.min(...cosines),
    outputs,
  }
}

/** The nodes of one type, in order. */
export function nodesOf(model: Model, op: string): Node[] {
  return [...model.allNodes()].filter(({ opType }) => opType === op)
}
