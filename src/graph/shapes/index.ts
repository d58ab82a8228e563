import { OnnxError } from '../../onnx/errors.ts'
import type { Graph } from '../graph.ts'
import type { Model } from '../model.ts'
import type { Node } from '../node.ts'
import type { Dim } from '../types.ts'
import type { Value } from '../value.ts'
import { Contents } from './contents.ts'
import { CONTENT_LIMIT, type Known, Operands } from './operands.ts'
import { OutputShapes } from './output-shapes.ts'

/** What `propagateShapes` may take for granted. */
export interface PropagateOptions {
  /**
   * For the time of a rewrite: give sizes that stay unknown a name of their own (`?1`), so that what is computed from them can be
   * followed, and outputs their sizes too. `forgetNames` takes these names away again; what outputs declare is for the caller to
   * put back.
   */
  named?: boolean
  /** Take nothing for granted: neither that slices fit nor that dimensions of two names differ. */
  certain?: boolean
}

/**
 * Finds dimensions that ONNX Runtime's inference leaves open, by following the names of dynamic dimensions through the arithmetic
 * on shapes (Shape, Gather, Concat, Reshape, ...): an export's `Reshape(x, [Shape(x)[0], Shape(x)[1], 4, 8])` is `[batch, sequence,
 * 4, 8]`. Fills `Value.type` of values inside graphs; inputs and outputs, which are the model's signature, stay as they are.
 * Run it after `inferTypes`.
 */
export function propagateShapes(model: Model, { named = false, certain = false }: PropagateOptions = {}): void {
  const known: Known = {
    shapes: new Map(),
    contents: new Map(),
    names: named ? { count: 0, derived: new Map() } : undefined,
    certain,
  }
  for (const graph of model.allGraphs()) visit(graph, known)
}

/** Makes sizes unknown again that `propagateShapes` gave a name. */
export function forgetNames(model: Model): void {
  const isNamed = (dim: Dim): boolean => typeof dim === 'string' && dim.includes('?')
  for (const node of model.allNodes())
    for (const value of node.outputs)
      if (value?.type?.kind === 'tensor' && value.shape?.some(isNamed))
        value.type = { ...value.type, shape: value.shape.map((dim) => (isNamed(dim) ? null : dim)) }
}

function visit(graph: Graph, known: Known): void {
  for (const input of graph.inputs)
    if (input.shape)
      known.shapes.set(
        input,
        input.shape.map((dim, i) => dim ?? `${input.name}[${i}]`),
      )
  for (const node of graph.nodes()) {
    try {
      learn(node, known)
    } catch (error) {
      // An attribute of the wrong kind: nothing follows from such a node.
      if (!(error instanceof OnnxError)) throw error
    }
    if (known.names) for (const value of node.outputs) if (value) nameSizes(value, known.names)
  }
}

function learn(node: Node, known: Known): void {
  const operands = new Operands(node, known)
  const output = node.outputs[0]
  if (!output || node.domain === 'ai.onnx.ml') return
  const contents = new Contents(operands).all()
  if (contents && contents.length <= CONTENT_LIMIT) known.contents.set(output, contents)
  for (const [i, shape] of new OutputShapes(operands).all().entries()) {
    const value = node.outputs[i]
    if (value && shape) refine(value, shape, known)
  }
}

/** Puts what was found into a value's type, where that knows less. */
function refine(value: Value, found: readonly Dim[], known: Known): void {
  const before = value.shape
  if (before && before.length !== found.length) return
  const shape = found.map((dim, i) => (typeof before?.[i] === 'number' ? before[i] : (dim ?? before?.[i] ?? null)))
  if (value.isInput || (value.isOutput && !known.names)) known.shapes.set(value, shape)
  else if (value.type?.kind === 'tensor' && shape.some((dim, i) => dim !== before?.[i]))
    value.type = { ...value.type, shape }
}

function nameSizes(value: Value, names: { count: number }): void {
  if (value.type?.kind !== 'tensor' || !value.shape?.includes(null)) return
  value.type = { ...value.type, shape: value.shape.map((dim) => dim ?? `?${++names.count}`) }
}
