import type { Node } from '../../graph/node.ts'
import type { Dim } from '../../graph/types.ts'
import { integersOf, no, type Rule, rule } from '../../rewrite/index.ts'

/** Larger tensors are not gone through element by element. */
const MOST_ELEMENTS = 2 ** 22

/** Elements by where they come from, in a shape. */
interface Layout {
  dims: readonly number[]
  from: Int32Array
}

/**
 * Blocks of pixels moved into channels, which exporters without the operator write as Reshape and Transpose, three or seven of them. Whether
 * they do that is seen by going through them with the numbers of the elements: only what gives the operator's own order is replaced.
 */
export const spaceToDepth: Rule = rule({
  name: 'space-to-depth',
  doc: 'Reshape, Transpose, Reshape (and longer chains) that move blocks into channels -> SpaceToDepth',
  emits: ['SpaceToDepth'],
  match: ({ op, any, constant, either }) => {
    const first = op.Reshape(any('x'), constant())
    const short = op.Reshape(op.Transpose(first), constant('shape'))
    const middle = op.Reshape(op.Transpose(op.Reshape(op.Transpose(first), constant())), constant())
    return either('form', { long: op.Reshape(op.Transpose(middle), constant('shape')), short })
  },
  check: ({ x, node }) => {
    if (x.dtype !== 'float32' && x.dtype !== 'float64') return no('is not float32 or float64', x)
    const { shape } = x
    if (shape?.length !== 4) return no('is not known to have 4 dimensions', x)
    const chain: Node[] = [node]
    while (chain[0]!.input(0) !== x) chain.unshift(chain[0]!.input(0)!.producer!)
    let blocksize: number | undefined
    for (const dims of examples(shape)) {
      if (dims === undefined) return no('has sizes that are not known', x)
      const moved = dims.reduce((a, b) => a * b, 1) <= MOST_ELEMENTS ? follow(dims, chain) : undefined
      if (!moved) return no('cannot be followed through the chain', x)
      blocksize = dims[2]! / (moved.dims[2] ?? 0)
      if (!Number.isInteger(blocksize) || blocksize < 2) return no('does not make blocks', node)
      if (!isSame(moved, toDepth(dims, blocksize))) return no('orders elements otherwise', node)
    }
    return { blocksize: blocksize! }
  },
  replace: ({ emit, x, blocksize }) => emit(x, { blocksize }),
})

/** Shapes to try: the own one; where the number of images is open, two of them. */
function examples([batch, ...rest]: readonly Dim[]): (readonly number[] | undefined)[] {
  if (!rest.every((dim) => typeof dim === 'number')) return [undefined]
  return (typeof batch === 'number' ? [batch] : [2, 3]).map((size) => [size, ...rest])
}

/** Where elements are after a chain of Reshape and Transpose; undefined where it does not take the shape. */
function follow(dims: readonly number[], chain: readonly Node[]): Layout | undefined {
  const count = dims.reduce((a, b) => a * b, 1)
  let layout: Layout = { dims, from: Int32Array.from({ length: count }, (_, i) => i) }
  for (const node of chain) {
    const next = node.is('Reshape') ? reshaped(layout, node) : transposed(layout, node.ints('perm'))
    if (!next) return undefined
    layout = next
  }
  return layout
}

function reshaped({ dims, from }: Layout, node: Node): Layout | undefined {
  const asked = integersOf(node.input(1)!)
  if (!asked || node.int('allowzero', 0)) return undefined
  const sizes = asked.map((size, i) => (size === 0 ? (dims[i] ?? 0) : size))
  const known = sizes.reduce((a, b) => (b < 0 ? a : a * b), 1)
  const full = sizes.map((size) => (size < 0 ? from.length / known : size))
  return full.reduce((a, b) => a * b, 1) === from.length && full.every(Number.isInteger)
    ? { dims: full, from }
    : undefined
}

function transposed({ dims, from }: Layout, given: readonly number[] | undefined): Layout | undefined {
  const perm = given ?? dims.map((_, i) => dims.length - 1 - i)
  if (perm.length !== dims.length) return undefined
  const strides = dims.map((_, axis) => dims.slice(axis + 1).reduce((a, b) => a * b, 1))
  const sizes = perm.map((axis) => dims[axis]!)
  const steps = perm.map((axis) => strides[axis]!)
  const at = sizes.map(() => 0)
  const result = new Int32Array(from.length)
  let source = 0
  for (let i = 0; i < result.length; i++) {
    result[i] = from[source]!
    for (let axis = at.length - 1; axis >= 0; axis--) {
      source += steps[axis]!
      if (++at[axis]! < sizes[axis]!) break
      source -= steps[axis]! * sizes[axis]!
      at[axis] = 0
    }
  }
  return { dims: sizes, from: result }
}

/** What SpaceToDepth does: channels are ordered by row in the block, column in it, channel. */
function toDepth([batch, channels, height, width]: readonly number[], block: number): Layout | undefined {
  const [rows, columns] = [height! / block, width! / block]
  if (!Number.isInteger(rows) || !Number.isInteger(columns)) return undefined
  const count = batch! * channels! * height! * width!
  const from = Int32Array.from({ length: count }, (_, i) => i)
  const split = { dims: [batch!, channels!, rows, block, columns, block], from }
  const moved = transposed(split, [0, 3, 5, 1, 2, 4])!
  return { dims: [batch!, channels! * block * block, rows, columns], from: moved.from }
}

function isSame(a: Layout, b: Layout | undefined): boolean {
  return !!b && a.dims.join() === b.dims.join() && a.from.every((from, i) => from === b.from[i])
}
