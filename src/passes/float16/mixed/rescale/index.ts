import { float } from '../../../../graph/attributes.ts'
import type { Model } from '../../../../graph/model.ts'
import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import { FLOAT16_MAX } from '../../../../kernels/index.ts'
import { chooseExponents, INFINITE } from './exponents.ts'

/** A value that was beyond the half range and is stored divided by `factor` now: part of the report, plain JSON. */
export interface Rescaled {
  node: string
  op: string
  magnitude: number
  factor: number
}

/** What was done to a model. */
export interface Rescaling {
  /** Largest magnitudes as the values are stored now. */
  largest: ReadonlyMap<Value, number>
  /** Nodes added, each a product with a power of two. */
  inserted: number
  values: readonly Rescaled[]
  undo(): void
  /** Removes the constants that are read no more; there is no way back then. */
  accept(): void
}

/**
 * Divides values beyond the half range by powers of two, in place, where the operators around them allow: weights and other
 * constants take the factors in, norms do not see them, and here and there a product is added. In float32 the model gives
 * the same as before; in float16 nothing of it overflows on the way.
 *
 * @param below scaled values come to lie below this
 * @returns undefined if nothing was to do, or there is no way
 */
export function rescale(model: Model, largest: ReadonlyMap<Value, number>, below: number): Rescaling | undefined {
  const { graph } = model
  const exponents = chooseExponents(graph, largest, below)
  if (!exponents?.of.size) return undefined
  const undo: (() => void)[] = []
  const stored = new Map([...largest].map(([value, most]) => [value, most * 2 ** -(exponents.of.get(value) ?? 0)]))
  const made = new Map<string, Value>()
  const replaced = new Set<Value>()
  let inserted = 0
  const scaled = (value: Value, by: number): Value => {
    const key = `${value.name} ${by}`
    const known = made.get(key)
    if (known) return known
    const { constant } = value
    if (constant) {
      const fresh = graph.addInitializer(`${value.name}_scaled`, multiplied(constant, 2 ** -by))
      undo.push(() => graph.removeInitializer(fresh))
      made.set(key, fresh)
      return fresh
    }
    const factor = graph.addInitializer('scale', Tensor.float32([], [2 ** -by]))
    const { producer } = value
    const node = graph.insert(
      { op: 'Mul', name: `${value.name}_rescale`, inputs: [value, factor], types: [value.type] },
      producer ? { after: producer } : { before: graph.firstNode },
    )
    inserted++
    undo.push(() => {
      graph.remove(node)
      graph.removeInitializer(factor)
    })
    stored.set(node.output(), (stored.get(value) ?? 0) * 2 ** -by)
    made.set(key, node.output())
    return node.output()
  }
  for (const [node, reads] of exponents.reads)
    for (const [index, exponent] of reads) {
      const value = node.input(index)!
      const fresh = scaled(value, exponent - (exponents.of.get(value) ?? 0))
      replaced.add(value)
      undo.push(() => node.setInput(index, value))
      node.setInput(index, fresh)
    }
  for (const [node, exponent] of exponents.epsilons) undo.push(scaleEpsilon(node, exponent))
  const values = [...exponents.of].flatMap(([value, exponent]): Rescaled[] => {
    const magnitude = largest.get(value) ?? 0
    if (magnitude <= FLOAT16_MAX) return []
    return [{ node: value.producer!.label, op: value.producer!.qualifiedType, magnitude, factor: 2 ** exponent }]
  })
  return {
    largest: stored,
    inserted,
    values,
    undo() {
      for (const step of undo.reverse()) step()
    },
    accept() {
      for (const value of replaced) {
        if (!value.isUnused || !value.constant || value.isInput) continue
        if (value.producer) value.producer.graph.remove(value.producer)
        else value.graph.removeInitializer(value)
      }
    },
  }
}

/** What stands for infinity stays as it is. */
function multiplied(tensor: Tensor, factor: number): Tensor {
  return Tensor.float32(
    tensor.dims,
    tensor.float32().map((x) => (Math.abs(x) < INFINITE ? x * factor : x)),
  )
}

function scaleEpsilon(node: Node, exponent: number): () => void {
  const before = node.attributes.get('epsilon')
  const epsilon = node.float('epsilon', 1e-5) * 2 ** -exponent
  node.attributes.set('epsilon', float(epsilon))
  return () => {
    if (before) node.attributes.set('epsilon', before)
    else node.attributes.delete('epsilon')
  }
}
