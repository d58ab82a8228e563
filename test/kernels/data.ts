import { InferenceSession, type Tensor } from 'onnxruntime-node'
import { type TinyNode, type TinyValue, tinyModel } from '../support/tiny-model.ts'

/** A repeatable stream of uint32 (mulberry32). */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
}

/** Bell-shaped floats around zero, like weights. */
export function weights(length: number, seed: number, spread = 0.05): Float32Array<ArrayBuffer> {
  const next = random(seed)
  return Float32Array.from({ length }, () => {
    let sum = 0
    for (let i = 0; i < 6; i++) sum += next() / 2 ** 32
    return (sum - 3) * spread
  })
}

/** Floats of arbitrary bits: NaN with payloads, infinite, subnormal, everything. */
export function anyBits(length: number, seed: number): Float32Array<ArrayBuffer> {
  const next = random(seed)
  return new Float32Array(Uint32Array.from({ length }, next).buffer)
}

/** The same values as float32 data that starts at an odd address. */
export function unaligned(values: Float32Array): { dtype: 'float32'; bytes: Uint8Array } {
  const bytes = new Uint8Array(values.byteLength + 1)
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 1)
  return { dtype: 'float32', bytes: bytes.subarray(1) }
}

/** Runs a few nodes in ONNX Runtime and gives back the output `y`. */
export async function runNodes(
  nodes: readonly TinyNode[],
  inputs: Readonly<Record<string, TinyValue>>,
  output: TinyValue,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Tensor> {
  const session = await InferenceSession.create(tinyModel(nodes, inputs, { y: output }), {
    graphOptimizationLevel: 'disabled',
  })
  const { y } = await session.run(feeds)
  await session.release()
  return y!
}
