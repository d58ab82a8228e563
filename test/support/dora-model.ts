import { ints } from '../../src/graph/attributes.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import type { Value } from '../../src/graph/value.ts'
import { matrix } from './matrix.ts'

export const rows = 32
export const columns = 16
export const vector = (seed: number): Tensor =>
  Tensor.float32(
    [columns],
    Float32Array.from({ length: columns }, (_, i) => 2 + Math.cos(i + seed)),
  )
export const x: Tensor = matrix(3, rows, 9)
/** Of the branch, unless said otherwise. */
export const scale = 0.5

/** An adapter of one layer: `[rows, rank]`, `[rank, columns]`, `[columns]`. */
export interface DoraWeights {
  a: Tensor
  b: Tensor
  magnitude: Tensor
}
export const own: DoraWeights = { a: matrix(rows, 2, 2), b: matrix(2, columns, 3), magnitude: vector(1) }
export const other: DoraWeights = { a: matrix(rows, 3, 5), b: matrix(3, columns, 6), magnitude: vector(4) }

/** A linear layer with DoRA, with the norms in the graph, operation by operation as PEFT computes them. */
export function dora(
  graph: Graph,
  value: Value,
  path: string,
  { a, b, magnitude }: DoraWeights,
  { less = 1, scale: factor = scale }: { less?: number | undefined; scale?: number } = {},
): Value {
  const constant = (name: string, tensor: Tensor) => graph.addInitializer(name, tensor)
  const number = (of: number) => constant('number', Tensor.float32([], [of]))
  const op = (type: string, inputs: Value[], name?: string) =>
    graph.insert({ op: type, inputs, ...(name ? { name } : {}) }).output()
  const weights = { w: constant('w', matrix(rows, columns, 1)), a: constant('a', a), b: constant('b', b) }
  const bias = constant('bias', vector(7))
  const result = op('Add', [op('MatMul', [value, weights.w], `${path}base_layer/MatMul`), bias])
  const unit = Tensor.float32(
    [rows, rows],
    Array.from({ length: rows * rows }, (_, i) => (i % (rows + 1) ? 0 : 1)),
  )
  const product = op('MatMul', [op('MatMul', [constant('eye', unit), weights.a]), weights.b])
  const changed = op('Add', [weights.w, op('Mul', [product, number(factor)])])
  const norm = graph.insert({ op: 'ReduceL2', inputs: [changed], attributes: { axes: ints([0]) } }).output()
  const m = op('Div', [constant('magnitude', magnitude), norm])
  const branch = op(
    'MatMul',
    [op('MatMul', [value, weights.a], `${path}default/MatMul`), weights.b],
    `${path}default_1/MatMul`,
  )
  const first = op('Mul', [op('Sub', [m, number(less)]), op('Sub', [result, bias])])
  const second = op('Mul', [op('Mul', [m, branch]), number(factor)])
  const inputs = [result, op('Add', [first, second])]
  return graph.insert({ op: 'Add', inputs, types: [tensorType('float32', ['n', columns])] }).output()
}
