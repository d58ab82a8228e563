import { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import {
  constantOf,
  type Failure,
  type Formula,
  integersOf,
  isNear,
  no,
  type Pattern,
  type Replace,
  type Replacement,
  type Rule,
  rule,
  sameDim,
  uniformNumber,
} from '../../rewrite/index.ts'

/** Operators are channels-last; so are the Transposes around them, which cancel out between neighbours. */
export const CHANNELS_LAST: readonly number[] = [0, 2, 3, 1]
export const CHANNELS_FIRST: readonly number[] = [0, 3, 1, 2]

type Captures = Record<'x' | 'sizes' | 'normal' | 'ones' | 'zeros' | 'back' | 'gamma' | 'beta', Value>

/** Group normalization as PyTorch exports it: the groups become the channels of an InstanceNormalization. */
function normalized({ op, any, constant }: Formula): Pattern<Captures> {
  const grouped = op.Reshape(any('x'), constant('sizes'))
  const normal = op.InstanceNormalization(grouped, constant('ones'), constant('zeros')).as('normal')
  return op.Add(op.Mul(op.Reshape(normal, any('back')), constant('gamma')), constant('beta'))
}

interface Facts {
  groups: number
  scale: number[]
  shift: number[]
}

function facts({ x, sizes, ones, zeros, back, gamma, beta, root }: Captures & { root: Value }): Facts | Failure {
  if (x.rank !== 4) return no('is not of rank 4', x)
  const [batch, groups, rest, ...more] = integersOf(sizes) ?? []
  const keepsBatch = batch === 0 || sameDim(batch, x.shape![0])
  if (!keepsBatch || !groups || groups < 1 || rest !== -1 || more.length)
    return no('is not the shape [0, groups, -1]', sizes)
  if (!isUniform(ones, 1) || !isUniform(zeros, 0)) return no('scales the groups before the channels', root)
  if (!restores(back, x)) return no('does not go back to the shape of the input', back)
  const channels = x.shape![1]
  // The kernels load the channels of a group in pairs.
  if (typeof channels !== 'number' || channels % (2 * groups) !== 0)
    return no(`has ${channels ?? 'unknown'} channels, not an even number for each of ${groups} groups`, x)
  const [scale, shift] = [gamma, beta].map((operand) => {
    const tensor = constantOf(operand)!
    return tensor.dims.join() === `${channels},1,1` || tensor.dims.join() === `1,${channels},1,1`
      ? [...tensor.toNumbers()]
      : undefined
  })
  if (!scale || !shift) return no('has not one number per channel', scale ? beta : gamma)
  return { groups, scale, shift }
}

function isUniform(value: Value, wanted: number): boolean {
  const tensor = constantOf(value)
  const number = tensor && uniformNumber(tensor)
  return number !== undefined && isNear(number, wanted, 1e-6)
}

/** True if a Reshape to this shape gives a value like x again. */
function restores(shape: Value, x: Value): boolean {
  const { producer } = shape
  if (producer?.is('Shape') && !producer.attributes.has('start') && !producer.attributes.has('end'))
    return producer.input(0) === x
  // At most one size may be open: all others are as they were, so it is too. Zeros copy from the groups.
  const sizes = integersOf(shape)
  if (sizes?.length !== 4 || sizes.filter((size) => size === -1).length > 1) return false
  return sizes.every((size, i) => size === -1 || (size === 0 && i === 0) || sameDim(size, x.shape?.[i]))
}

/** Gamma and beta are float32 whatever the element type. */
const vector = (numbers: readonly number[]): Tensor => Tensor.float32([numbers.length], numbers)

/** @param activation 1: followed by x * sigmoid(x) */
function replaced(
  { op, emit, x, groups, scale, shift, normal }: Captures & Facts & Replace,
  activation: 0 | 1,
): Replacement {
  const epsilon = normal.producer!.float('epsilon', 1e-5)
  const attributes = { epsilon, groups, activation, channels_last: 1 }
  const y = emit(op.Transpose(x, { perm: CHANNELS_LAST }), vector(scale), vector(shift), attributes)
  return op.Transpose(y, { perm: CHANNELS_FIRST })
}

/** Before `group-norm`, which would take its inside. */
export const groupNormSwish: Rule = rule({
  name: 'group-norm-swish',
  doc: 'GroupNormalization in primitives, then x * sigmoid(x) -> GroupNorm with its activation',
  emits: ['com.microsoft:GroupNorm'],
  match: (words) => {
    const y = normalized(words)
    return words.op.Mul(y, words.op.Sigmoid(y))
  },
  check: facts,
  replace: (match) => replaced(match, 1),
})

export const groupNorm: Rule = rule({
  name: 'group-norm',
  doc: 'GroupNormalization in primitives -> GroupNorm',
  emits: ['com.microsoft:GroupNorm'],
  match: normalized,
  check: facts,
  replace: (match) => replaced(match, 0),
})
