import type { Graph } from '../../src/graph/graph.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import type { Value } from '../../src/graph/value.ts'
import { matrix } from './matrix.ts'

/** The factors of a layer: `[outer, rank]` and `[rank, inner]`, twice. */
export interface LohaFactors {
  hada_w1_a: Tensor
  hada_w1_b: Tensor
  hada_w2_a: Tensor
  hada_w2_b: Tensor
}

export const inner = 8
export const outer = 6
export const x: Tensor = matrix(3, inner, 9)
export const factorsOf = (rank: number, seed: number): LohaFactors => ({
  hada_w1_a: matrix(outer, rank, seed),
  hada_w1_b: matrix(rank, inner, seed + 1),
  hada_w2_a: matrix(outer, rank, seed + 2),
  hada_w2_b: matrix(rank, inner, seed + 3),
})

/** A linear layer with LoHa, operation by operation as PEFT computes it. */
export function loha(
  graph: Graph,
  value: Value,
  path: string,
  factors: LohaFactors,
  { scale = 0.5, combine = 'Mul' }: { scale?: number; combine?: string } = {},
): Value {
  const constant = (name: string, tensor: Tensor) => graph.addInitializer(name, tensor)
  const op = (type: string, ...inputs: Value[]) => graph.insert({ op: type, inputs }).output()
  const [a1, b1, a2, b2] = Object.entries(factors).map(([name, tensor]) =>
    constant(`base_model.model.${path}.${name}.default`, tensor),
  ) as [Value, Value, Value, Value]
  const combined = op(combine, op('MatMul', a1, b1), op('MatMul', a2, b2))
  const scaled = op('Mul', combined, constant('scale', Tensor.float32([], [scale])))
  const shaped = op('Reshape', scaled, constant('shape', Tensor.from('int64', [2], [outer, inner])))
  const base = op('MatMul', value, constant('w', matrix(inner, outer, 1)))
  const inputs = [base, op('MatMul', value, op('Transpose', shaped))]
  return graph.insert({ op: 'Add', inputs, types: [tensorType('float32', ['n', outer])] }).output()
}
