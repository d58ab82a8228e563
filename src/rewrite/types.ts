import type { AttributeValue } from '../graph/attributes.ts'
import { broadcast } from '../graph/dims.ts'
import type { Dim, ValueType } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import { type DType, dtypeOf } from '../onnx/dtypes.ts'
import { integersOf } from './constants.ts'

type Inputs = readonly (Value | null)[]

/** Operators whose (first) output has the type of the first input. */
const LIKE_FIRST = new Set(
  `Abs Clip Elu Erf Exp Gelu HardSigmoid LayerNormalization LeakyRelu Log LogSoftmax Neg RMSNormalization Reciprocal Relu Round
   Sigmoid SimplifiedLayerNormalization Softmax Softplus Sqrt Tanh BiasGelu FastGelu QuickGelu SkipLayerNormalization
   SkipSimplifiedLayerNormalization RotaryEmbedding BiasSoftmax GroupNorm SkipGroupNorm`.split(/\s+/),
)
const BROADCASTING = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Mod', 'BiasAdd'])
const INT64 = new Set(['Shape', 'Size', 'NonZero', 'ArgMax', 'ArgMin'])
const BOOL = new Set([
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Not',
  'And',
  'Or',
  'Xor',
  'IsNaN',
  'IsInf',
])

/**
 * Type of the first output of a new node, as far as it follows simply from its inputs: enough for the rules that look at the
 * new node next. ONNX Runtime infers the rest after the pass.
 */
export function typeOfNew(
  op: string,
  inputs: Inputs,
  attributes: Readonly<Record<string, AttributeValue>>,
): ValueType | undefined {
  const first = inputs[0] ?? undefined
  const shape = shapeOfNew(op, inputs, attributes)
  const dtype = dtypeOfNew(op, inputs, attributes)
  if (!dtype) return undefined
  if (LIKE_FIRST.has(op)) return { kind: 'tensor', dtype, shape: first?.shape }
  return { kind: 'tensor', dtype, shape }
}

function dtypeOfNew(
  op: string,
  inputs: Inputs,
  attributes: Readonly<Record<string, AttributeValue>>,
): DType | undefined {
  if (op === 'Cast') return attributes['to']?.kind === 'int' ? dtypeOf(Number(attributes['to'].value)) : undefined
  if (INT64.has(op)) return 'int64'
  if (BOOL.has(op)) return 'bool'
  if (op === 'EmbedLayerNormalization') return inputs[2]?.dtype
  return (op === 'Where' ? inputs[1] : inputs[0])?.dtype
}

function shapeOfNew(
  op: string,
  inputs: Inputs,
  attributes: Readonly<Record<string, AttributeValue>>,
): readonly Dim[] | undefined {
  const shape = inputs[0]?.shape
  const second = inputs[1]?.shape
  if (op === 'Cast' || op === 'Identity') return shape
  if (op === 'Shape') return shape && !attributes['start'] && !attributes['end'] ? [shape.length] : undefined
  if (BROADCASTING.has(op)) return shape && second && broadcast(shape, second)
  if (op === 'MatMul' && shape && second && shape.length >= 2 && second.length >= 2) {
    const batch = broadcast(shape.slice(0, -2), second.slice(0, -2))
    return batch && [...batch, shape.at(-2)!, second.at(-1)!]
  }
  if (op === 'Transpose' && shape) {
    const perm =
      attributes['perm']?.kind === 'ints'
        ? attributes['perm'].value.map(Number)
        : shape.map((_, i) => shape.length - 1 - i)
    return perm.length === shape.length ? perm.map((axis) => shape[axis]!) : undefined
  }
  if (op === 'Reshape') {
    const wanted = integersOf(inputs[1] ?? undefined)
    return wanted?.map((size, i) => (size === 0 ? (shape?.[i] ?? null) : size < 0 ? null : size))
  }
  return undefined
}
