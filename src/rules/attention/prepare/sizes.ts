import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Dim } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { integersOf, no, numberOf, type Rule, rule } from '../../../rewrite/index.ts'

/** How many values are looked at. */
const LIMIT = 48
const PASSING = new Set(
  'Einsum Reshape Transpose Squeeze Unsqueeze Flatten Identity Cast Split Softmax MatMul Gemm Where IsNaN Neg Dropout Expand Concat Slice Sin Cos'.split(
    ' ',
  ),
)
/** What masks are made of. */
const INNER = new Set([
  'ConstantOfShape',
  'Range',
  'Constant',
  'Shape',
  'Equal',
  'Greater',
  'Less',
  'And',
  'Or',
  'Not',
  'ScatterND',
])
const ELEMENTWISE = new Set(['Add', 'Sub', 'Mul', 'Div'])

/** Models ask values inside attention for their sizes. Those further up have the same, and stay. */
export const sizes: Rule = rule({
  name: 'size-from-above',
  doc: 'size of a value between projection and product -> size of what was projected',
  match: ({ op, any, constant, rest, either }) => {
    const shape = op.Shape(any('x')).shared()
    return either({ one: op.Gather(shape, constant('index')), range: op.Slice(shape, rest()) })
  },
  check: ({ x, node }) => {
    const rank = x.rank ?? 0
    const dims = x.shape ?? []
    if (node.input(0)!.producer!.attributes.size) return no('takes the sizes of some axes', node)
    const at = node.is('Gather') ? integersOf(node.input(1)) : rangeOf(node, rank)
    if (at?.length !== 1) return no('takes several sizes', node)
    const dim = dims[at[0]! < 0 ? at[0]! + rank : at[0]!]
    if (typeof dim !== 'string') return no('has no size with a name', x)
    const isEmbedding = x.producer?.is('Gather') && x.isFloat
    if (!x.producer || !(isEmbedding || (passes(x.producer, x) && isInAttention(x))))
      return no('is no value of an attention', x)
    const terms = termsOf(x, dim)
    if (terms) return { terms }
    const source = sourceOf(x, dim)
    return source ? { terms: [[{ value: source, axis: source.shape!.indexOf(dim) }]] } : no('has no known source', x)
  },
  replace: ({ op, constant, terms, node }) => {
    const dims = node.is('Gather') && node.input(1)!.rank === 0 ? [] : [1]
    const number = (value: number, name: string): Value => constant(Tensor.int64([value], dims), name)
    return terms
      .map((factors) =>
        factors
          .map((factor) =>
            typeof factor === 'number'
              ? number(factor, 'factor')
              : op.Gather(op.Shape(factor.value), number(factor.axis, 'axis')),
          )
          .reduce((product, part) => op.Mul(product, part)),
      )
      .reduce((sum, part) => op.Add(sum, part))
  },
})

/** An axis of a value. */
export interface Place {
  value: Value
  axis: number
}

/** The axes whose sizes a Slice takes out of a Shape. */
function rangeOf(node: Node, rank: number): number[] | undefined {
  const [starts, ends, steps] = [1, 2, 4].map((i) => integersOf(node.input(i)))
  const [start, end] = [node.ints('starts') ?? starts, node.ints('ends') ?? ends]
  if (start?.length !== 1 || end?.length !== 1 || (steps && steps[0] !== 1)) return undefined
  return Array.from({ length: rank }, (_, i) => i).slice(start[0], end[0])
}

/** A size as a sum of products of axes of inputs and numbers. */
function termsOf(value: Value, dim: string): (number | Place)[][] | undefined {
  const isSum = /^\(.* \+ .*\)$/.test(dim)
  const terms = (isSum ? dim.slice(1, -1).split(' + ') : [dim]).map((term) => {
    const [, number, name] = (isSum && /^(-?\d+)(?: (.+))?$/.exec(term)) || [undefined, undefined, term]
    const factors = (name?.split('*') ?? []).map((part) => (/^\d+$/.test(part) ? Number(part) : placeOf(value, part)))
    return number === undefined ? factors : [Number(number), ...factors]
  })
  return terms.flat().every((factor) => factor !== undefined) ? (terms as (number | Place)[][]) : undefined
}

/** The axis of an input of the graph, or of one around it, that has this name. */
export function placeOf(value: Value, name: string): Place | undefined {
  for (let graph: Graph | undefined = value.graph; graph; graph = graph.owner?.graph) {
    const input = graph.inputs.find(({ shape }) => shape?.includes(name))
    if (input) return { value: input, axis: input.shape!.indexOf(name) }
  }
  return undefined
}

/** True for what a Softmax is computed from, for what it weighs, and for the result; and for what is made for its size alone. */
export function isInAttention(value: Value): boolean {
  if (!value.isOutput && value.users.every((node) => node.is('Shape'))) return true
  const seen = new Set<Value>([value])
  for (const at of seen) {
    if (seen.size > LIMIT) return false
    for (const node of at.users) {
      if (node.is('Softmax') || node.inputs.some((input) => input && comesFromSoftmax(input))) return true
      if (passes(node, node.outputs[0] ?? at)) for (const output of node.outputs) if (output) seen.add(output)
    }
  }
  return comesFromSoftmax(value)
}

function comesFromSoftmax(value: Value): boolean {
  let at: Value | undefined = value
  for (let i = 0; i < 8 && at?.producer; i++) {
    const { producer }: Value = at
    if (producer.is('Softmax')) return true
    if (!PASSING.has(producer.opType)) return false
    at = producer.input(producer.is('Where') ? 2 : 0)
  }
  return false
}

/**
 * A value above the attention that has an axis of this size: of those where what may be part of an attention ends, the one with
 * the fewest axes.
 */
function sourceOf(value: Value, dim: Dim): Value | undefined {
  const ends: Value[] = []
  const seen = new Set<Value>([value])
  for (const at of seen) {
    if (seen.size > LIMIT) break
    const node = at.producer
    if (!node || node.graph !== value.graph || !passes(node, at)) {
      if (!node || !INNER.has(node.opType)) ends.push(at)
    } else for (const input of node.inputs) if (input?.shape?.includes(dim) && !input.constant) seen.add(input)
  }
  const best = ends.reduce<Value | undefined>(
    (least, end) => (least && least.rank! <= end.rank! ? least : end),
    undefined,
  )
  return best === value || (best?.rank ?? 4) > 3 ? undefined : best
}

/** Sums and products of three axes or fewer are taken to be residual: they stay. With something constant they are projections. */
function passes(node: Node, output: Value): boolean {
  if (node.domain !== '') return false
  if (!ELEMENTWISE.has(node.opType)) return PASSING.has(node.opType)
  const hasConstant = node.inputs.some((input) => input?.constant || numberOf(input ?? undefined) !== undefined)
  return hasConstant || (output.rank ?? 0) > 3
}
