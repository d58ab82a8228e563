import { int } from '../../../../graph/attributes.ts'
import { copyModel } from '../../../../graph/copy.ts'
import type { Model } from '../../../../graph/model.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import { codeOf } from '../../../../onnx/dtypes.ts'
import type { CalibrationData } from '../../calibrate/data/index.ts'
import { observe } from '../../calibrate/observe.ts'

/** An activation that a product reads, and the length of its last axis. */
export interface Source {
  value: Value
  length: number
}

/** What was seen of an activation. */
export interface Hessian {
  /** Sums of products of every two channels over all rows: a symmetric [length, length] matrix. */
  sums: Float32Array
  length: number
  rows: number
}

/** Bytes of all matrices that are summed up at a time; more of them take more runs of the model. */
const MOST_BYTES = 2 ** 29

/**
 * Runs the model on data and sums `xᵀ x` of activations up, in ONNX Runtime; nothing but the sums is kept.
 *
 * @param use gets the matrices of a part of the activations, which are gone after that
 */
export async function forHessians(
  model: Model,
  sources: readonly Source[],
  data: CalibrationData,
  { threads, signal }: { threads: number; signal?: AbortSignal | undefined },
  use: (hessians: ReadonlyMap<Value, Hessian>) => Promise<void>,
): Promise<void> {
  let at = 0
  while (at < sources.length) {
    const part: Source[] = []
    for (let bytes = 0; at < sources.length; at++) {
      bytes += sources[at]!.length ** 2 * 4
      if (part.length && bytes > MOST_BYTES) break
      part.push(sources[at]!)
    }
    await use(await hessiansOf(model, part, data, threads, signal))
  }
}

async function hessiansOf(
  model: Model,
  sources: readonly Source[],
  data: CalibrationData,
  threads: number,
  signal: AbortSignal | undefined,
): Promise<Map<Value, Hessian>> {
  const { model: copy, values } = copyModel(model)
  const { graph } = copy
  const matrices = new Map<Value, Hessian>()
  const counts = new Map<Value, Hessian>()
  const result = new Map<Value, Hessian>()
  for (const { value, length } of sources) {
    const hessian: Hessian = { sums: new Float32Array(length * length), length, rows: 0 }
    result.set(value, hessian)
    let floats = values.get(value)!
    if (value.dtype !== 'float32')
      floats = graph.insert({ op: 'Cast', inputs: [floats], attributes: { to: int(codeOf('float32')) } }).output()
    const shape = graph.addInitializer('rows', Tensor.int64([-1, length]))
    const rows = graph.insert({ op: 'Reshape', inputs: [floats, shape] }).output()
    const transposed = graph.insert({ op: 'Transpose', inputs: [rows] }).output()
    matrices.set(graph.insert({ op: 'MatMul', inputs: [transposed, rows] }).output(), hessian)
    counts.set(graph.insert({ op: 'Shape', inputs: [rows] }).output(), hessian)
  }
  const observer = await observe(copy, [...matrices.keys(), ...counts.keys()], { threads, signal })
  try {
    await observer.run(data, (value, tensor) => {
      const counted = counts.get(value)
      if (counted) counted.rows += tensor.toNumbers()[0]!
      const { sums } = matrices.get(value) ?? {}
      if (!sums) return
      const found = tensor.float32()
      for (let i = 0; i < sums.length; i++) sums[i]! += found[i]!
    })
  } finally {
    await observer.release()
  }
  return result
}
