import type { Node } from '../../graph/node.ts'
import { Failure, integersFrom, integersOf, no, numberOf, type Rule, rule } from '../../rewrite/index.ts'

/** What a Pad adds to the spatial dimensions, as the `pads` attribute of convolutions and pools counts it: begins, then ends. */
function spatialPads(pad: Node, filled: (value: number) => boolean): number[] | Failure {
  if (pad.string('mode', 'constant') !== 'constant') return no('does not pad with a constant', pad)
  const pads = integersFrom(pad, 'pads', 1)
  if (!pads || (pad.input(3) && !integersOf(pad.input(3)))) return no('has pads that are not constant', pad)
  const value = pad.input(2) ? numberOf(pad.input(2)) : pad.float('value', 0)
  if (value === undefined || !filled(value)) return no(`pads with ${value ?? 'a computed value'}`, pad)
  const rank = pad.input(0)!.rank ?? pads.length / 2
  const given = integersOf(pad.input(3))?.map((axis) => (axis < 0 ? axis + rank : axis))
  const axes = given ?? Array.from({ length: rank }, (_, i) => i)
  const sides = Array.from({ length: 2 * rank }, () => 0)
  axes.forEach((axis, i) => {
    sides[axis] = pads[i]!
    sides[axis + rank] = pads[i + axes.length]!
  })
  if (pads.some((number) => number < 0)) return no('cuts off', pad)
  if (sides[0] || sides[1] || sides[rank] || sides[rank + 1]) return no('pads batch or channels', pad)
  return [...sides.slice(2, rank), ...sides.slice(rank + 2)]
}

/** The node's pads with those of a Pad added. */
function joinedPads(node: Node, more: readonly number[]): number[] | Failure {
  if (node.string('auto_pad', 'NOTSET') !== 'NOTSET') return no('pads automatically', node)
  const own = node.ints('pads') ?? more.map(() => 0)
  return more.map((number, i) => number + own[i]!)
}

/** Several convolutions may read one Pad: each takes the pads over, and with the last one the Pad goes. */
export const padConv: Rule = rule({
  name: 'pad-conv',
  doc: 'Conv(Pad with zeros) -> Conv with pads',
  match: ({ op, any, rest }) => op.Conv(op.Pad(any('x'), rest()).as('padded').shared(), any('w'), rest()),
  check: ({ padded, node }) => {
    const more = spatialPads(padded.producer!, (value) => value === 0)
    const pads = more instanceof Failure ? more : joinedPads(node, more)
    return pads instanceof Failure ? pads : { pads }
  },
  replace: ({ create, node, x, pads }) =>
    create({
      op: 'Conv',
      inputs: [x, ...node.inputs.slice(1)],
      attributes: { ...Object.fromEntries(node.attributes), pads },
    }),
})

/**
 * An average counts zeros of the Pad, a maximum must not see what was padded. ONNX Runtime refuses pools whose pads reach the size
 * of the kernel.
 */
export const padPool: Rule = rule({
  name: 'pad-pool',
  doc: 'AveragePool(Pad with zeros), MaxPool(Pad with lowest) -> pool with pads',
  match: ({ op, oneOf, any, rest }) =>
    oneOf(['AveragePool', 'MaxPool'], op.Pad(any('x'), rest()).as('padded').shared()),
  check: ({ padded, node, opset }) => {
    const isAverage = node.opType === 'AveragePool'
    if (isAverage && opset < 7) return no('has no count_include_pad in this opset', node)
    if (node.int('ceil_mode', 0)) return no('rounds its output size up', node)
    const more = spatialPads(padded.producer!, (value) => (isAverage ? value === 0 : value <= -3.4e38))
    if (more instanceof Failure) return more
    const ownPads = (node.ints('pads') ?? []).some((number) => number > 0)
    if (isAverage && ownPads && !node.int('count_include_pad', 0))
      return no('counts the pads of Pad, but not its own', node)
    const pads = joinedPads(node, more)
    if (pads instanceof Failure) return pads
    const kernel = node.ints('kernel_shape')!
    const fits = pads.every((number, i) => number < kernel[i % kernel.length]!)
    return fits ? { pads } : no(`has the kernel [${kernel}], too small for pads [${pads}]`, node)
  },
  replace: ({ create, node, x, pads }) => {
    const included = node.opType === 'AveragePool' ? { count_include_pad: 1 } : {}
    const attributes = { ...Object.fromEntries(node.attributes), pads, ...included }
    return create({ op: node.opType, inputs: [x], attributes, outputs: node.outputs.map((output) => output !== null) })
  },
})
