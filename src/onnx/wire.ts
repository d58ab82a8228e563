import protobuf from 'protobufjs/minimal.js'
import type { ByteSource } from './bytes.ts'
import type { Int64 } from './proto.ts'

const NodeReader = protobuf.BufferReader as unknown as new (buffer: Uint8Array) => protobuf.Reader

/** Reads a varint of up to 64 bits as two unsigned 32-bit halves. */
function varint64(reader: protobuf.Reader): { lo: number; hi: number } {
  let lo = 0
  let hi = 0
  for (let shift = 0; shift < 70; shift += 7) {
    if (reader.pos >= reader.len) throw new RangeError('index out of range')
    const byte = reader.buf[reader.pos++]!
    const bits = byte & 0x7f
    if (shift < 28) lo |= bits << shift
    else if (shift === 28) {
      lo |= bits << 28
      hi |= bits >>> 4
    } else hi |= bits << (shift - 32)
    if (byte < 0x80) return { lo: lo >>> 0, hi: hi >>> 0 }
  }
  throw new RangeError('invalid varint encoding')
}

function toInt64(lo: number, hi: number, signed: boolean): Int64 {
  const high = signed ? hi | 0 : hi
  const value = high * 4294967296 + lo
  return Number.isSafeInteger(value) ? value : (BigInt(high) << 32n) | BigInt(lo)
}

/** protobufjs reader whose 64-bit integers are exact without another library. */
export class Reader extends NodeReader {
  constructor(buffer: Uint8Array) {
    super(buffer)
  }

  /** A plain Uint8Array: `slice` of a Buffer would not copy. */
  override raw(start: number, end: number): Uint8Array {
    return new Uint8Array(this.buf.buffer, this.buf.byteOffset + start, end - start)
  }
  override int64(): never {
    const { lo, hi } = varint64(this)
    return toInt64(lo, hi, true) as never
  }
  override uint64(): never {
    const { lo, hi } = varint64(this)
    return toInt64(lo, hi, false) as never
  }
}

/** A piece of an encoded message: bytes in memory, or bytes elsewhere. */
export type Segment = Uint8Array | ByteSource

/** Byte strings from this size on are kept by reference instead of being copied into the writer's buffer. */
const BY_REFERENCE = 1024

/** What protobufjs allows for 64-bit integers; the messages here only ever hold `Int64`. */
type Wide = Parameters<protobuf.Writer['int64']>[0] | bigint

interface Fork {
  at: number
  references: number
  outside: number
}

/**
 * protobufjs writer that never copies weights: large byte fields are remembered with their place, and `segments()` yields
 * the message as a sequence of small buffers and references, ready for `writev`.
 */
export class SegmentWriter extends protobuf.Writer {
  readonly #references: { at: number; bytes: Segment }[] = []
  readonly #forks: Fork[] = []
  #outside = 0

  /** The small part of the message and its cursor (protobufjs keeps them untyped). */
  get #inside(): { buf: Uint8Array; pos: number; _reserve(n: number): void } {
    return this as never
  }

  override bytes(value: Segment | string): this {
    if (typeof value === 'string' || value.length < BY_REFERENCE) {
      super.bytes(typeof value === 'string' || value instanceof Uint8Array ? value : value.read())
      return this
    }
    this.uint32(value.length)
    this.#references.push({ at: this.#inside.pos, bytes: value })
    this.#outside += value.length
    return this
  }

  override int64(value: Wide): this {
    return this.#varint64(value)
  }

  override uint64(value: Wide): this {
    return this.#varint64(value)
  }

  #varint64(value: Wide): this {
    let rest = BigInt.asUintN(64, BigInt(value as Int64))
    const inside = this.#inside
    inside._reserve(10)
    while (rest > 127n) {
      inside.buf[inside.pos++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    inside.buf[inside.pos++] = Number(rest)
    return this
  }

  override fork(): this {
    const inside = this.#inside
    this.#forks.push({ at: inside.pos, references: this.#references.length, outside: this.#outside })
    inside._reserve(1)
    inside.pos += 1
    return this
  }

  override ldelim(): this {
    const fork = this.#forks.pop()!
    const inside = this.#inside
    const start = fork.at + 1
    const own = inside.pos - start
    let length = own + this.#outside - fork.outside
    if (length > 0x7fffffff) throw new RangeError('message over 2 GiB')
    let width = 1
    for (let rest = length >>> 7; rest; rest >>>= 7) width++
    if (width > 1) {
      inside._reserve(width - 1)
      inside.buf.copyWithin(fork.at + width, start, start + own)
      inside.pos += width - 1
      for (let i = fork.references; i < this.#references.length; i++) this.#references[i]!.at += width - 1
    }
    let at = fork.at
    for (; length > 127; length >>>= 7) inside.buf[at++] = (length & 0x7f) | 0x80
    inside.buf[at] = length
    return this
  }

  /** Number of bytes of the finished message. */
  get total(): number {
    return this.#inside.pos + this.#outside
  }

  /** The finished message in order. */
  *segments(): Generator<Segment> {
    const { buf, pos } = this.#inside
    let from = 0
    for (const { at, bytes } of this.#references) {
      if (at > from) yield buf.subarray(from, at)
      yield bytes
      from = at
    }
    if (pos > from) yield buf.subarray(from, pos)
  }
}
