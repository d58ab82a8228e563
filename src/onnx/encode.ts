import { closeSync, openSync, writeFileSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { type ByteSource, readFully } from './bytes.ts'
import { writeMessage } from './codec.ts'
import { OnnxError } from './errors.ts'
import type { ModelProto, TensorProto } from './proto.ts'
import { type Segment, SegmentWriter } from './wire.ts'

/** An encoded message that has not been written yet. */
export interface Encoded {
  /** Size in bytes. */
  readonly length: number
  segments(): Iterable<Segment>
}

/** Encodes a model without copying its weights. Throws OnnxError if it would exceed protobuf's limit of 2 GiB. */
export function encodeModel(model: ModelProto): Encoded {
  const writer = new SegmentWriter()
  try {
    writeMessage('ModelProto', model, writer)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw tooLarge(cause)
  }
  if (writer.total > 0x7fffffff) throw tooLarge()
  return { length: writer.total, segments: () => writer.segments() }
}

function tooLarge(cause?: unknown): OnnxError {
  return new OnnxError('MODEL_TOO_LARGE', 'the model is larger than 2 GiB, the limit of one ONNX file', {
    hint: 'Write it with external data.',
    cause,
  })
}

/** The encoded model as one buffer. For small models and tests. */
export function encodeToBytes(model: ModelProto): Uint8Array {
  const encoded = encodeModel(model)
  const out = new Uint8Array(encoded.length)
  let at = 0
  for (const segment of encoded.segments()) {
    if (segment instanceof Uint8Array) out.set(segment, at)
    else segment.read(out.subarray(at, at + segment.length))
    at += segment.length
  }
  return out
}

/** A tensor's own message, as the test data of models is stored. For small tensors. */
export function encodeTensor(tensor: TensorProto): Uint8Array {
  const writer = new SegmentWriter()
  writeMessage('TensorProto', tensor, writer)
  const out = Buffer.alloc(writer.total)
  let at = 0
  for (const segment of writer.segments()) {
    out.set(segment instanceof Uint8Array ? segment : segment.read(), at)
    at += segment.length
  }
  return out
}

/** Files are written in pieces of this size. */
export const PIECE: number = 1 << 20
/** What computes bytes piece by piece wants offsets and lengths in multiples of this. */
const UNIT = 64

/**
 * Writes segments to a new file, front to back, in pieces of `PIECE` bytes, calling `onPiece` with each (for hashing and
 * progress); it is waited for before the piece's memory is used again. A piece is written while the next one is read or
 * computed. Memory stays at a few megabytes, or at the largest computed segment.
 */
export async function writeSegments(
  path: string,
  segments: Iterable<Segment>,
  onPiece?: (piece: Uint8Array<ArrayBuffer>) => Promise<void> | void,
): Promise<void> {
  let handle: FileHandle | undefined
  // Two: one is filled while the other is written.
  const buffers = [Buffer.allocUnsafeSlow(PIECE), Buffer.allocUnsafeSlow(PIECE)] as const
  let writing: Promise<void> = Promise.resolve()
  let turn = 0
  let filled = 0
  const room = (): Buffer<ArrayBuffer> => buffers[turn]!.subarray(filled)
  const flush = async (): Promise<void> => {
    const piece = buffers[turn]!.subarray(0, filled)
    await writing
    handle ??= await (await import('node:fs/promises')).open(path, 'wx')
    writing = writeAll(handle, piece)
    // It is awaited with the next piece; until then a failure must not count as unhandled.
    writing.catch(() => {})
    await onPiece?.(piece)
    turn ^= 1
    filled = 0
  }
  const filledBy = async (count: number): Promise<void> => {
    filled += count
    if (filled === PIECE) await flush()
  }
  const append = async (bytes: Uint8Array): Promise<void> => {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + PIECE - filled)
      room().set(part)
      done += part.length
      await filledBy(part.length)
    }
  }
  try {
    for (const segment of segments) {
      if (segment instanceof Uint8Array) await append(segment)
      else if (segment.file) await fromFile(segment.file, segment.length, room, filledBy)
      else if (segment.fill) await computed(segment.fill, segment.length, { room, filledBy, append })
      else await append(segment.read())
    }
    if (!handle) {
      // What is small is written at once, which takes less time than to ask other threads to.
      const piece = buffers[turn]!.subarray(0, filled)
      writeFileSync(path, piece, { flag: 'wx' })
      await onPiece?.(piece)
      return
    }
    if (filled > 0) await flush()
    await writing
  } finally {
    await writing.catch(() => {})
    await handle?.close()
  }
}

/** Where bytes go: room for some, which is told when it was used, or any number of them. */
interface Target {
  room(): Buffer<ArrayBuffer>
  filledBy(count: number): Promise<void>
  append(bytes: Uint8Array): Promise<void>
}

async function fromFile(
  { path, offset }: NonNullable<ByteSource['file']>,
  length: number,
  room: Target['room'],
  filledBy: Target['filledBy'],
): Promise<void> {
  const fd = openSync(path, 'r')
  try {
    for (let done = 0; done < length; ) {
      const part = room().subarray(0, length - done)
      readFully(fd, part, offset + done, path)
      done += part.length
      await filledBy(part.length)
    }
  } finally {
    closeSync(fd)
  }
}

async function computed(
  fill: NonNullable<ByteSource['fill']>,
  length: number,
  { room, filledBy, append }: Target,
): Promise<void> {
  for (let done = 0; done < length; ) {
    const left = length - done
    const space = room()
    const count = space.length < left ? space.length - (space.length % UNIT) : left
    if (count > 0) {
      fill(space.subarray(0, count), done)
      await filledBy(count)
      done += count
    } else {
      const few = new Uint8Array(Math.min(UNIT, left))
      fill(few, done)
      await append(few)
      done += few.length
    }
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten
}
