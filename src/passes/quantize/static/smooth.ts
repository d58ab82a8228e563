import { withFloats } from '../../../graph/float-data.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { toFloat32, withFactors } from '../../../kernels/index.ts'
import { ComputedBytes } from '../../../onnx/bytes.ts'
import { type Measured, smoothNorms } from '../dynamic/smooth.ts'
import { prune } from '../weight.ts'
import { contractionLayout } from '../weight-cache.ts'

/**
 * Moves differences between the channels of normalizations from activations into the weights that read them, before anything is
 * measured: see `smoothNorms`. Weights are multiplied when they are read.
 *
 * @returns how many weights were changed
 */
export function smooth(nodes: readonly Node[], measured?: Measured): number {
  const leftovers = new Set<Value>()
  const factors = smoothNorms(nodes, () => false, leftovers, measured)
  const made = new Map<string, Value>()
  const replaced = new Map<Value, Value>()
  for (const [node, { id, values }] of factors) {
    const old = node.input(1)!
    const tensor = old.constant!
    const isTransposed = node.opType === 'Gemm' && node.int('transB', 0) !== 0
    const key = `${old.name}\u0000${id}\u0000${isTransposed}`
    let fresh = made.get(key)
    if (!fresh) {
      const layout = contractionLayout(tensor.dims, isTransposed ? 'columns' : 'rows')
      const compute = (): Uint8Array =>
        withFloats(tensor, (data) => {
          const scaled = toFloat32(withFactors(data, layout, values))
          return new Uint8Array(scaled.buffer)
        })
      const bytes = new ComputedBytes(tensor.byteLength, compute)
      fresh = old.graph.addInitializer(`${old.name}_smoothed`, Tensor.of('float32', tensor.dims, bytes))
      made.set(key, fresh)
    }
    node.setInput(1, fresh)
    replaced.set(old, fresh)
    leftovers.add(old)
  }
  prune(leftovers)
  // Settings by tensor find a weight under its old name.
  for (const [old, fresh] of replaced) if (!old.tensor && !old.producer) fresh.name = old.name
  return factors.size
}
