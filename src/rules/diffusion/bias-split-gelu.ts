import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { integersOf, no, type Rule, rule } from '../../rewrite/index.ts'

/** Sizes of the last dimension that the kernels of ONNX Runtime for CUDA and WebGPU take; they fail for others. */
const WIDTHS = [2560, 5120, 10240]

/** GEGLU, as in the feed-forward blocks of diffusion models: the first half of the channels times the Gelu of the second. */
export const biasSplitGelu: Rule = rule({
  name: 'bias-split-gelu',
  doc: 'a * Gelu(b), with a and b the halves of x + bias -> BiasSplitGelu',
  emits: ['com.microsoft:BiasSplitGelu'],
  match: ({ op, ms, any, constant, rest, either }) => {
    const sum = op.Add(any('x'), constant('bias')).as('sum').shared()
    const split = op.Split(sum, rest())
    const first = either({ slice: op.Slice(sum, rest()), split }).as('first')
    const second = either({ slice: op.Slice(sum, rest()), split: split.out(1) }).as('second')
    return op.Mul(first, either({ standard: op.Gelu(second, { approximate: 'none' }), microsoft: ms.Gelu(second) }))
  },
  check: ({ x, bias, sum, first, second }) => {
    if (x.rank !== 3) return no('is not of rank 3', x)
    const width = sum.shape?.[2]
    if (typeof width !== 'number' || !WIDTHS.includes(width))
      return no(`has ${width ?? 'an unknown number of'} channels; the kernels take ${WIDTHS.join(', ')}`, sum)
    if (bias.shape?.length !== 1 || bias.shape[0] !== width) return no('is not one number per channel', bias)
    if (first.producer === second.producer)
      return isHalves(first.producer!, width) || no('does not split in halves', first)
    if (!isSlice(first.producer!, 0, width / 2, width)) return no('is not the first half of the channels', first)
    return isSlice(second.producer!, width / 2, width, width) || no('is not the second half of the channels', second)
  },
  replace: ({ emit, x, bias }) => emit(x, bias),
})

/** True for a Split of the last of three dimensions into two equal parts. */
function isHalves(node: Node, width: number): boolean {
  const axis = node.int('axis', 0)
  return node.outputs.length === 2 && (axis === 2 || axis === -1) && node.output().shape?.[2] === width / 2
}

/** True for a Slice of the last of three dimensions from `start` to `end`; bounds from the end or beyond it count. */
function isSlice(node: Node, start: number, end: number, width: number): boolean {
  const [starts, ends, axes, steps] = [1, 2, 3, 4].map((i) => one(node.input(i)))
  const at = (bound: number): number => Math.min(bound < 0 ? bound + width : bound, width)
  if (starts === undefined || ends === undefined || (axes !== 2 && axes !== -1)) return false
  return (node.input(4) === undefined || steps === 1) && at(starts) === start && at(ends) === end
}

function one(value: Value | undefined): number | undefined {
  const numbers = integersOf(value)
  return numbers?.length === 1 ? numbers[0] : undefined
}
