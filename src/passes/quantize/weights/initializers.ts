import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { type QuantizedBlocks, toBfloat16, toFloat16 } from '../../../kernels/index.ts'
import type { DType } from '../../../onnx/dtypes.ts'
import type { Job } from './jobs.ts'

/** Adds an initializer beside a job's weight, named after it; made once per `suffix`. */
export function initializer(job: Job, suffix: string, make: () => Tensor): Value {
  const known = job.values.get(suffix)
  if (known) return known
  const value = job.root.graph.addInitializer(`${job.root.name}_${suffix}`, make())
  job.values.set(suffix, value)
  return value
}

/** A tensor of floats in the type that activations have. */
export function floatTensor(dtype: DType, dims: readonly number[], values: Float32Array<ArrayBuffer>): Tensor {
  if (dtype === 'float32') return Tensor.float32(dims, values)
  const halves = dtype === 'float16' ? toFloat16(values).values : toBfloat16(values)
  return Tensor.of(dtype, dims, new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength))
}

/** Inputs `scales` and `zero_points` of block operators, for a result in `blocks` order with `channels` rows. */
export function blockParameters(job: Job<QuantizedBlocks>, dtype: DType, channels: number): (Value | null)[] {
  const { scales, zeroPoints, floatZeroPoints, blocks } = job.result!
  const dims = [channels, blocks]
  const inputs: (Value | null)[] = [initializer(job, suffixed('scales', dtype), () => floatTensor(dtype, dims, scales))]
  if (zeroPoints)
    inputs.push(
      initializer(job, 'zero_points', () => Tensor.of('uint8', [channels, zeroPoints.length / channels], zeroPoints)),
    )
  else if (floatZeroPoints)
    inputs.push(initializer(job, suffixed('zero_points', dtype), () => floatTensor(dtype, dims, floatZeroPoints)))
  return inputs
}

function suffixed(name: string, dtype: DType): string {
  return dtype === 'float32' ? name : `${name}_${dtype}`
}
