import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import type { Arguments, Context } from '../context.ts'
import type { Image } from '../flow.ts'
import { sizeIn } from './geometry.ts'
import { bytes, toChannels, toLayout, withBatch } from './pixels.ts'

/** A colour for each of `count` classes: hues all around, RGB. */
function palette(count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const channel = (shift: number) =>
      Math.round(255 * Math.min(1, Math.max(0, 2 - Math.abs(((i / count + shift) % 1) * 6 - 3))))
    return [channel(1 / 2), channel(1 / 6), channel(5 / 6)]
  }).flat()
}

/**
 * Draws the outlines of boxes [n, 6] (corners, score, class) on an image. A box is the product of its rows and its columns, so
 * that one matrix product adds up all boxes: the outer ones less the inner ones. Where lines cross, colours mix.
 *
 * @returns RGB bytes HWC
 */
export function draw(found: Value, on: Image, args: Arguments, context: Context): Image {
  const { ops } = context
  // One far outside: ONNX Runtime leaves products over nothing as they happen to be in memory.
  const boxes = ops.op('Concat', [found, ops.floats([-1e6, -1e6, -1e6, -1e6, 0, 0], [1, 6])], { axis: 0 })
  const image = withBatch(toLayout(toChannels(on, 'rgb', context), 'HWC', context), false, context)
  const half = (args['thickness'] as number) / 2
  const size = sizeIn(image, context)
  const scalar = (value: number) => ops.constant(Tensor.int64([value], []))
  const positions = (axis: number) => {
    const end = ops.op('Squeeze', [ops.slice(size, 0, [axis], [axis + 1])])
    return ops.op('Add', [ops.cast(ops.op('Range', [scalar(0), end, scalar(1)]), 'float32'), ops.floats(0.5)])
  }
  const column = (at: number) => ops.slice(boxes, 1, [at], [at + 1])
  /** [n, size]: 1 between the edges, moved outwards. */
  const inside = (axis: number, outwards: number) => {
    const at = positions(axis)
    const [from, to] = axis === 0 ? [column(1), column(3)] : [column(0), column(2)]
    const after = ops.op('GreaterOrEqual', [at, ops.op('Sub', [from, ops.floats(outwards)])])
    const before = ops.op('LessOrEqual', [at, ops.op('Add', [to, ops.floats(outwards)])])
    return ops.cast(ops.op('And', [after, before]), 'float32')
  }
  const count = args['numClasses'] as number
  const colours = ops.floats(palette(count), [count, 3])
  const classes = args['colourByClasses']
    ? ops.op('Mod', [ops.cast(ops.op('Squeeze', [column(5), [1]]), 'int64'), ops.ints([count])])
    : ops.cast(ops.op('Mul', [ops.op('Squeeze', [column(5), [1]]), ops.floats(0)]), 'int64')
  const ones = ops.op('Add', [ops.op('Mul', [column(4), ops.floats(0)]), ops.floats(1)])
  // [4, n, 1]: red, green, blue, and how many.
  const weights = ops.op('Unsqueeze', [
    ops.op('Transpose', [ops.op('Concat', [ops.op('Gather', [colours, classes]), ones], { axis: 1 })], {
      perm: [1, 0],
    }),
    [2],
  ])
  const area = (outwards: number) => {
    const rows = ops.op('Transpose', [ops.op('Mul', [weights, inside(0, outwards)])], { perm: [0, 2, 1] })
    return ops.op('MatMul', [rows, inside(1, outwards)])
  }
  const lines = ops.op('Transpose', [ops.op('Sub', [area(half), area(-half)])], { perm: [1, 2, 0] })
  const drawn = ops.slice(lines, 2, [3], [4])
  const colour = ops.op('Div', [ops.slice(lines, 2, [0], [3]), ops.op('Max', [drawn, ops.floats(1)])])
  const value = ops.op('Where', [
    ops.op('Greater', [drawn, ops.floats(0.5)]),
    bytes(colour, context),
    image.dtype === 'uint8' ? image.value : bytes(image.value, context),
  ])
  return { ...image, value, dtype: 'uint8' }
}
