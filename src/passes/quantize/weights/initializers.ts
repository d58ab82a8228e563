import { int } from '../../../graph/attributes.ts'
import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type QuantizedBlocks, toBfloat16, toFloat16 } from '../../../kernels/index.ts'
import { codeOf, type DType } from '../../../onnx/dtypes.ts'
import type { Job } from './jobs.ts'
import type { Tools } from './tools.ts'

/** Adds an initializer, by default beside the job's weight, and named after it; made once per `suffix`. */
export function initializer(job: Job, suffix: string, make: () => Tensor, graph: Graph = job.root.graph): Value {
  const known = job.values.get(suffix)
  if (known) return known
  const value = graph.addInitializer(`${job.root.name}_${suffix}`, make())
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
export function blockParameters(
  job: Job<QuantizedBlocks>,
  dtype: DType,
  channels: number,
  node: Node,
  tools: Tools,
): (Value | null)[] {
  const { scales, zeroPoints, floatZeroPoints, blocks } = job.result!
  const dims = [channels, blocks]
  const inputs: (Value | null)[] = [scaleInput(job, 'scales', { dtype, dims, values: scales }, node, tools)]
  if (zeroPoints)
    inputs.push(
      initializer(job, 'zero_points', () => Tensor.of('uint8', [channels, zeroPoints.length / channels], zeroPoints)),
    )
  else if (floatZeroPoints)
    inputs.push(initializer(job, `zero_points_${dtype}`, () => floatTensor(dtype, dims, floatZeroPoints)))
  return inputs
}

/** Below this many scales a Cast takes more bytes than it saves. */
const FEW = 128

/** What `scaleInput` makes a constant of. */
interface Floats {
  /** The type that the reader wants. */
  dtype: DType
  dims: readonly number[]
  values: Float32Array<ArrayBuffer>
}

/**
 * A constant of floats. Where float32 is wanted and the values are halves already, it is stored as float16 and a Cast makes
 * float32 of it; ONNX Runtime does that once, when the model is loaded.
 */
export function scaleInput(job: Job, name: string, { dtype, dims, values }: Floats, node: Node, tools: Tools): Value {
  const { scaleType, precision, weightFormat } = tools.options
  const asHalf = dtype === 'float32' && scaleType === 'float16' && precision === 'float32' && weightFormat === 'nbits'
  if (!asHalf || !job.hasHalfScales || values.length < FEW) {
    const suffix = dtype === 'float32' ? name : `${name}_${dtype}`
    return initializer(job, suffix, () => floatTensor(dtype, dims, values))
  }
  const key = `${node.graph.name}\u0000${job.root.name}\u0000${name}`
  const known = tools.shared.get(key)
  if (known?.graph === node.graph) return known
  const halves = initializer(job, `${name}_float16`, () => floatTensor('float16', dims, values))
  const value = node.graph
    .insert(
      {
        op: 'Cast',
        name: `${halves.name}_Cast`,
        inputs: [halves],
        attributes: { to: int(codeOf('float32')) },
        outputs: [`${job.root.name}_${name}`],
        types: [tensorType('float32', dims)],
      },
      { before: node },
    )
    .output()
  tools.shared.set(key, value)
  return value
}
