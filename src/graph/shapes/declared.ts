import type { Model } from '../model.ts'
import type { ValueType } from '../types.ts'
import type { Value, ValueExtra } from '../value.ts'
import { propagateShapes } from './index.ts'

/**
 * Nodes from which on it pays to tell ONNX Runtime shapes. To plan memory it compares every result with all earlier ones whose
 * room is free, and where it does not know the shapes of most (an exporter's arithmetic on shapes) none is ever used again: the
 * time grows with the square of the number of nodes.
 */
const LARGE = 1000

/**
 * Does something while a large model declares all shapes of its main graph that are certain. Types must have been inferred. The
 * model must not change meanwhile; afterwards it is as it was.
 */
export async function withDeclaredShapes<T>(model: Model, use: () => Promise<T>): Promise<T> {
  const { graph } = model
  if (graph.nodeCount < LARGE) return use()
  const before = new Map<Value, { type: ValueType | undefined; extra: ValueExtra | undefined }>()
  for (const node of model.allNodes())
    for (const value of node.outputs)
      if (value) before.set(value, { type: value.type, extra: value.extra && { ...value.extra } })
  propagateShapes(model, { certain: true })
  const declared: Value[] = []
  for (const node of graph.nodes())
    for (const value of node.outputs)
      if (value && !value.isOutput && !value.isDeclared && value.dtype && value.shape) declared.push(value)
  for (const value of declared) graph.declare(value)
  try {
    return await use()
  } finally {
    for (const value of declared) graph.undeclare(value)
    for (const [value, { type, extra }] of before)
      if (value.type !== type) {
        value.type = type
        value.extra = extra
      }
  }
}
