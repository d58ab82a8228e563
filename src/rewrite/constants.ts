import type { Node } from '../graph/node.ts'
import { Tensor } from '../graph/tensor.ts'
import type { Dim } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import { DTYPES, type DType, dtypeOf } from '../onnx/dtypes.ts'

/** Constants with more elements than this are not looked at element by element. */
const UNIFORM_LIMIT = 1 << 16
const CAST_LIMIT = 4096

/** The value before any Identity nodes. */
export function withoutIdentity(value: Value): Value {
  let at = value
  while (at.producer?.is('Identity')) {
    const source = at.producer.input(0)
    if (!source) break
    at = source
  }
  return at
}

/** The data of a constant value: an initializer that nobody may override, a Constant node, or one of them behind Identity or (small ones) Cast. */
export function constantOf(value: Value | undefined): Tensor | undefined {
  if (!value) return undefined
  const source = withoutIdentity(value)
  const tensor = source.constant
  if (tensor || !source.producer?.is('Cast')) return tensor
  const inner = constantOf(source.producer.input(0))
  const to = dtypeOf(source.producer.int('to', 0))
  if (!inner || !to || inner.elementCount > CAST_LIMIT || !hasNumbers(inner.dtype) || !hasNumbers(to)) return undefined
  const numbers = inner.toNumbers()
  if (DTYPES[to].kind !== 'float' && !numbers.every(Number.isInteger)) return undefined
  return Tensor.from(to, inner.dims, numbers)
}

function hasNumbers(dtype: DType | undefined): boolean {
  return dtype !== undefined && ['float', 'int', 'bool'].includes(DTYPES[dtype].kind)
}

const uniforms = new WeakMap<Tensor, { number: number | undefined }>()

/** The number that every element of a constant is, or undefined if they differ or there are none. */
export function uniformNumber(tensor: Tensor): number | undefined {
  let known = uniforms.get(tensor)
  if (!known) {
    known = { number: findUniform(tensor) }
    uniforms.set(tensor, known)
  }
  return known.number
}

function findUniform(tensor: Tensor): number | undefined {
  const count = tensor.elementCount
  if (count === 0 || count > UNIFORM_LIMIT || !hasNumbers(tensor.dtype)) return undefined
  if (count === 1) return tensor.scalar()
  const step = DTYPES[tensor.dtype!].bits / 8
  if (step >= 1) {
    // Bytes that repeat decide without a number per element.
    const bytes = tensor.bytes()
    for (let i = step; i < bytes.length; i++) if (bytes[i] !== bytes[i - step]) return undefined
    return Tensor.of(tensor.dtype!, [], bytes.slice(0, step)).scalar()
  }
  const numbers = tensor.toNumbers()
  return numbers.every((number) => number === numbers[0]) ? numbers[0] : undefined
}

/** The number that a scalar or uniform constant holds. */
export function numberOf(value: Value | undefined): number | undefined {
  const tensor = constantOf(value)
  return tensor && uniformNumber(tensor)
}

/** The elements of a small constant integer tensor (shapes, axes, pads), or undefined. What stands for infinity is clamped to what numbers hold. */
export function integersOf(value: Value | undefined): number[] | undefined {
  const tensor = constantOf(value)
  if (!tensor?.dtype || DTYPES[tensor.dtype].kind !== 'int' || tensor.elementCount > CAST_LIMIT) return undefined
  return tensor
    .toNumbers()
    .map((number) => Math.max(-Number.MAX_SAFE_INTEGER, Math.min(number, Number.MAX_SAFE_INTEGER)))
}

/**
 * Integers that an operator takes as an attribute in old opsets and as an input in new ones (`axes` of ReduceMean, `split` of
 * Split ...). Undefined where neither is there or the input is not constant; `isGiven` tells these apart.
 */
export function integersFrom(node: Node, attribute: string, input: number): number[] | undefined {
  return node.ints(attribute) ?? integersOf(node.input(input))
}

/** True if the operator was given this attribute or input, constant or not. */
export function isGiven(node: Node, attribute: string, input: number): boolean {
  return node.attributes.has(attribute) || node.input(input) !== undefined
}

/** Size of the rounding that an element type does to a constant written in full precision, relative. */
function roundingOf(dtype: DType | undefined): number {
  return dtype === 'float16' ? 2 ** -11 : dtype === 'bfloat16' ? 2 ** -8 : 0
}

/** Default tolerance of `near`: numbers that floats hold exactly must be met, others to four digits as exporters round them. */
export function defaultTolerance(number: number): number {
  return Number.isInteger(number * 8) ? 1e-6 : 1e-4
}

/** True if `found`, read from a tensor of `dtype`, stands for `wanted`. `tolerance` is relative. */
export function isNear(found: number, wanted: number, tolerance: number, dtype?: DType): boolean {
  if (found === wanted) return true
  return Math.abs(found - wanted) <= (tolerance + roundingOf(dtype)) * Math.max(Math.abs(wanted), 1e-30)
}

/** True if two dimensions are known to be equal. */
export function sameDim(a: Dim | undefined, b: Dim | undefined): boolean {
  return a !== undefined && a !== null && a === b
}

/** True if two shapes are known to be equal. */
export function sameShape(a: readonly Dim[] | undefined, b: readonly Dim[] | undefined): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]))
}
