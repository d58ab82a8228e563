import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import type { OrtService } from '../../ort/service.ts'
import { dropDead, evaluateFixed, fixedNodes } from './fixed.ts'
import type { Linear } from './linear.ts'

/**
 * What DoRA adds to a LoRA branch: `base(x) + ((m - 1) * base(x) + m * scale * (x A) B)`, where `m` is the magnitude vector
 * over the norms of the columns of `W + scale * A B` (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation").
 */
export interface Dora {
  /** `m * ...` of the branch. */
  branch: Node
  /** `(m - 1) * base(x)` */
  base: Node
  /** m, computed of constants alone. */
  factor: Value
  /** m - 1 */
  shifted: Value
}

/** The operand of a Mul that is computed of constants alone. */
export function fixedOperand(node: Node | undefined): { fixed: Value; other: Value } | undefined {
  if (!node?.is('Mul')) return undefined
  const [first, second] = node.inputs
  if (!first || !second) return undefined
  const isFixed = (value: Value) => fixedNodes(value) !== undefined
  if (isFixed(first) === isFixed(second)) return undefined
  return isFixed(first) ? { fixed: first, other: second } : { fixed: second, other: first }
}

/** The vectors of a layer: `m - 1` and m. */
export interface DoraFactors {
  /** `[columns]` */
  shift: Tensor
  factor: Tensor
}

/** The vectors of a layer; undefined if its two factors are something else. */
export async function factorsOf(
  { factor, shifted }: Dora,
  b: Linear,
  ort: OrtService,
): Promise<DoraFactors | undefined> {
  const [m, less] = [await evaluateFixed(factor, ort), await evaluateFixed(shifted, ort)]
  if (m.dtype !== less.dtype || m.elementCount !== b.columns || m.dims.at(-1) !== b.columns) return undefined
  const [factors, numbers] = [m.toNumbers(), less.toNumbers()]
  const isRounded = [factor, shifted].some((value) =>
    fixedNodes(value)?.some(({ opType }) => opType === 'QuantizeLinear'),
  )
  // Steps of 8 bits, more than once.
  const tolerance = isRounded ? 0.02 : 1e-3
  const size = isRounded ? factors.reduce((most, value) => Math.max(most, Math.abs(value)), 1) : 1
  const agree = factors.every(
    (value, at) => Math.abs(value - 1 - numbers[at]!) <= tolerance * Math.max(size, Math.abs(value)),
  )
  if (!agree || numbers.length !== b.columns) return undefined
  return { shift: Tensor.of(less.dtype!, [b.columns], less.bytes()), factor: m }
}

/** Makes the layer read `m - 1` from `input`: zeros leave the base as it is. */
export function setShift({ branch, base, factor, shifted }: Dora, input: Value): void {
  const { graph } = branch
  const one = graph.addInitializer('one', Tensor.from(input.dtype!, [], [1]))
  const sum = graph.insert(
    { op: 'Add', inputs: [input, one], types: [tensorType(input.dtype, input.shape ?? [])] },
    { before: branch },
  )
  branch.setInput(branch.inputs.indexOf(factor), sum.output())
  base.setInput(base.inputs.indexOf(shifted), input)
  dropDead(shifted)
  dropDead(factor)
}

/** Makes the layer read both its vectors from inputs, to compute exactly what it did. */
export function setFactors({ branch, base, factor, shifted }: Dora, shift: Value, multiplier: Value): void {
  branch.setInput(branch.inputs.indexOf(factor), multiplier)
  base.setInput(base.inputs.indexOf(shifted), shift)
  dropDead(shifted)
  dropDead(factor)
}

/**
 * `m - 1` for a magnitude vector as PEFT saves it.
 *
 * @param weight the frozen weight `[rows, columns]`
 * @param a `[rows, rank]`
 * @param b `[rank, columns]`, times the scale
 */
export function shiftOfMagnitude(magnitude: Tensor, weight: Tensor, a: Tensor, b: Tensor): Tensor {
  const [rows, columns] = weight.dims as [number, number]
  const rank = a.dims[1]!
  const [w, left, right, given] = [weight, a, b, magnitude].map((tensor) => tensor.toNumbers()) as [
    number[],
    number[],
    number[],
    number[],
  ]
  const shift = given.map((size, column) => {
    let squares = 0
    for (let row = 0; row < rows; row++) {
      let value = w[row * columns + column]!
      for (let at = 0; at < rank; at++) value += left[row * rank + at]! * right[at * columns + column]!
      squares += value * value
    }
    return size / Math.sqrt(squares) - 1
  })
  return Tensor.from(magnitude.dtype!, [columns], shift)
}
