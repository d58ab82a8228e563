import { withFloats } from '../../../graph/float-data.ts'
import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import { toFloat32 } from '../../../kernels/index.ts'
import { replaceNode } from '../replace.ts'
import { prune } from '../weight.ts'

/**
 * Folds BatchNormalization into the weight and bias of the Conv before it, since an integer Conv gives what comes after the
 * normalization. Only float32 constants that nothing else reads.
 *
 * @returns how many were folded
 */
export function foldBatchNorms(model: Model): number {
  let folded = 0
  for (const node of [...model.graph.allNodes()]) if (node.is('BatchNormalization') && fold(node)) folded++
  return folded
}

function fold(norm: Node): boolean {
  const conv = norm.input(0)?.producer
  if (!conv?.is('Conv') || conv.output().onlyUser !== norm || norm.outputs.slice(1).some(Boolean)) return false
  if (norm.int('training_mode', 0) !== 0 || norm.int('spatial', 1) !== 1) return false
  const weight = conv.input(1)?.constant
  const bias = conv.input(2)?.constant
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((index) => norm.input(index)?.constant)
  const parts = [weight, gamma, beta, mean, variance, ...(conv.input(2) ? [bias] : [])]
  if (parts.some((part) => part?.dtype !== 'float32')) return false
  const channels = weight!.dims[0]!
  const values = (tensor: Tensor): Float32Array => withFloats(tensor, (data) => toFloat32(data))
  const [g, b, m, v] = [gamma, beta, mean, variance].map((part) => values(part!))
  if ([g, b, m, v].some((part) => part!.length !== channels)) return false
  const epsilon = norm.float('epsilon', 1e-5)
  const factor = Float64Array.from(g!, (scale, i) => scale / Math.sqrt(v![i]! + epsilon))
  const scaled = values(weight!)
  const inner = scaled.length / channels
  for (let i = 0; i < scaled.length; i++) scaled[i] = scaled[i]! * factor[Math.floor(i / inner)]!
  const old = bias && values(bias)
  const shifted = Float32Array.from(b!, (shift, i) => ((old?.[i] ?? 0) - m![i]!) * factor[i]! + shift)
  const { graph } = conv
  const before = [...conv.inputs.slice(1), ...norm.inputs.slice(1)].filter((value) => value !== null)
  const root = conv.input(1)!
  const { name } = root
  const fresh = graph.addInitializer(`${name}_folded`, Tensor.float32(weight!.dims, scaled))
  conv.setInput(1, fresh)
  conv.setInput(2, graph.addInitializer(`${name}_folded_bias`, Tensor.float32([channels], shifted)))
  replaceNode(norm, conv.output())
  prune(before)
  // Settings by tensor find it under the old name.
  if (!root.tensor) fresh.name = name
  return true
}
