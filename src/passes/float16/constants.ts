import { withFloats } from '../../graph/float-data.ts'
import { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import {
  FLOAT16_MAX,
  FLOAT16_SMALLEST,
  minMax,
  sliceFloats,
  toBfloat16,
  toFloat16,
  writeFloat16,
} from '../../kernels/index.ts'
import { PiecewiseBytes } from '../../onnx/bytes.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { Note } from '../pass.ts'
import type { Float16Options } from './index.ts'

/** Smallest normal half: below it precision falls off. */
const SMALLEST_NORMAL = 2 ** -14

/** What becomes of float32. */
export type HalfType = 'float16' | 'bfloat16'

/** Largest finite bfloat16. */
export const BFLOAT16_MAX: number = 2 ** 128 - 2 ** 120

/** The float16 (or bfloat16) form of a float32 constant, or undefined if it has to stay float32. */
export class HalfConstants {
  readonly #known = new Map<Value, Tensor | undefined>()
  readonly #notes = new Map<Value, Note>()
  readonly #overflow: Float16Options['overflow']

  /** @param type the type to convert to; in bfloat16 all numbers of float32 fit */
  constructor(
    overflow: Float16Options['overflow'],
    readonly type: HalfType = 'float16',
  ) {
    this.#overflow = overflow
  }

  /** What there is to tell about constants that are still read. */
  notes(): Note[] {
    return [...this.#notes].flatMap(([value, note]) => (value.isUnused ? [] : [note]))
  }

  /** Converts once per constant; the answer is the same for all its readers. */
  of(value: Value): Tensor | undefined {
    if (!this.#known.has(value)) this.#known.set(value, this.#convert(value, (value.constant ?? value.tensor)!))
    return this.#known.get(value)
  }

  #convert(value: Value, tensor: Tensor): Tensor | undefined {
    if (this.type === 'bfloat16') return bfloats(tensor)
    const later = halvesLater(tensor)
    if (later) return later
    const result = withFloats(tensor, (data) => toFloat16(data))
    if (isTinyScalar(tensor) || isEpsilon(value, tensor) || (result.clipped > 0 && standsForInfinity(tensor))) {
      // A mask's -3.4e38 means "never" and an epsilon of 1e-12 means "not zero": the nearest halves that still say so.
      const limited = withFloats(tensor, (data) =>
        toFloat16(data, { largest: FLOAT16_MAX, smallest: FLOAT16_SMALLEST }),
      )
      if (limited.clipped || limited.raised)
        this.#notes.set(value, {
          level: 'info',
          code: 'float16/limit',
          message: `"${value.name}" = ${describe(tensor)} becomes ${limited.clipped ? `the limit ${Math.sign(tensor.toNumbers().find((x) => x)!) * FLOAT16_MAX}` : 'the smallest half'}`,
        })
      return halves(tensor, limited.values)
    }
    if (result.clipped === 0) {
      // Scales of 1e-6 and the like would lose most of their digits: they are few bytes and stay as they are.
      const faint = tensor.elementCount > 0 && result.maxAbs > 0 && result.maxAbs < SMALLEST_NORMAL
      if (!faint) return halves(tensor, result.values)
      this.#notes.set(value, {
        level: 'info',
        code: 'float16/faint',
        message: `"${value.name}" stays float32: all of it is below ${SMALLEST_NORMAL.toPrecision(2)}`,
      })
      return undefined
    }
    const what = `"${value.name}" has ${result.clipped} of ${tensor.elementCount} values beyond ${FLOAT16_MAX}, the largest half (up to ${result.maxAbs.toPrecision(4)})`
    if (this.#overflow === 'error')
      throw new OnnxError('FLOAT16_OVERFLOW', what, {
        hint: 'overflow=keep leaves such weights in float32, overflow=clip limits them.',
      })
    this.#notes.set(value, {
      level: 'warn',
      code: 'float16/overflow',
      message: `${what}: ${this.#overflow === 'clip' ? 'clipped' : 'it stays float32'}`,
    })
    return this.#overflow === 'clip' ? halves(tensor, result.values) : undefined
  }
}

/** Weights of at least this many bytes are read twice, to know their range and to convert them, rather than held in memory. */
const LARGE = 1 << 16

/**
 * Ordinary weights of a file as halves that are made while they are written: memory does not grow with them, and the disk is
 * busy meanwhile. Undefined for all others.
 */
function halvesLater(tensor: Tensor): Tensor | undefined {
  if (tensor.byteLength < LARGE || tensor.source instanceof Uint8Array || !tensor.source.file) return undefined
  const { min, max, infinite } = withFloats(tensor, (data) => minMax(data))
  const maxAbs = Math.max(max, -min)
  if (infinite || !(maxAbs <= FLOAT16_MAX) || (maxAbs > 0 && maxAbs < SMALLEST_NORMAL)) return undefined
  const bytes = new PiecewiseBytes(tensor.elementCount * 2, (target, offset) =>
    withFloats(tensor, (data) => writeFloat16(sliceFloats(data, offset / 2, target.length / 2), target)),
  )
  return Tensor.of('float16', tensor.dims, bytes)
}

/** Finite numbers stay finite. */
function bfloats(tensor: Tensor): Tensor {
  const values = withFloats(tensor, (data) => toBfloat16(data))
  const isInfinite = values.some((bits) => (bits & 0x7fff) === 0x7f80)
  if (isInfinite) {
    const source = tensor.float32()
    for (const [i, bits] of values.entries())
      if ((bits & 0x7fff) === 0x7f80 && Number.isFinite(source[i])) values[i] = bits - 1
  }
  return Tensor.of('bfloat16', tensor.dims, new Uint8Array(values.buffer))
}

function halves(tensor: Tensor, values: Uint16Array): Tensor {
  return Tensor.of('float16', tensor.dims, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}

/** A uniform constant, or one of zeros and one other value, beyond the half range: a mask or a bound, not a weight. */
function standsForInfinity(tensor: Tensor): boolean {
  if (tensor.elementCount === 0 || tensor.byteLength > 1 << 22) return false
  let other: number | undefined
  for (const x of tensor.float32()) {
    if (x === 0 || x === other) continue
    if (other !== undefined || Math.abs(x) <= FLOAT16_MAX || !Number.isFinite(x)) return false
    other = x
  }
  return other !== undefined && (other < 0 || other > 1e30)
}

/** A small number that is added, and so matters only where the rest is as good as 0. */
function isEpsilon({ users }: Value, tensor: Tensor): boolean {
  const x = tensor.scalar()
  return x !== undefined && Math.abs(x) < SMALLEST_NORMAL && users.every(({ opType }) => SUMS.has(opType))
}

const SUMS = new Set(['Add', 'Max'])

/** An epsilon: one number, too small for a half. */
function isTinyScalar(tensor: Tensor): boolean {
  if (tensor.elementCount !== 1) return false
  const x = tensor.scalar()
  return x !== undefined && x !== 0 && Math.abs(x) < SMALLEST_NORMAL && Math.abs(x) < 1e-6
}

function describe(tensor: Tensor): string {
  return String(tensor.toNumbers().find((x) => x !== 0))
}
