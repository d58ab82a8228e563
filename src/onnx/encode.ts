import { closeSync, openSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
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

/** Weights are read, computed and written in pieces of this size. */
const CHUNK = 1 << 20

/** Yields the bytes of a segment in pieces; what is not in memory is brought, chunk by chunk, into the buffers of `scratch`. */
function* chunksOf(segment: Segment, scratch: () => Buffer): Generator<Uint8Array> {
  if (segment instanceof Uint8Array) return yield segment
  const { file, fill } = segment as ByteSource
  if (!file && !fill) return yield segment.read()
  const fd = file && openSync(file.path, 'r')
  try {
    for (let done = 0; done < segment.length; ) {
      const buffer = scratch()
      const piece = buffer.subarray(0, Math.min(buffer.length, segment.length - done))
      if (fd === undefined) fill!(piece, done)
      else readFully(fd, piece, file!.offset + done, file!.path)
      yield piece
      done += piece.length
    }
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/**
 * Writes segments to a new file, front to back, calling `onChunk` with every piece (for hashing and progress). A piece is
 * written while the next one is read or computed. Memory stays at a few megabytes, or at the largest computed segment.
 */
export async function writeSegments(
  path: string,
  segments: Iterable<Segment>,
  onChunk?: (chunk: Uint8Array) => void,
): Promise<void> {
  const handle = await open(path, 'wx')
  // Two: one is filled while the other is written.
  const buffers: Buffer[] = []
  let turn = 0
  const scratch = (): Buffer => {
    turn ^= 1
    buffers[turn] ??= Buffer.allocUnsafeSlow(CHUNK)
    return buffers[turn]!
  }
  let writing: Promise<void> = Promise.resolve()
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  const flush = async (): Promise<void> => {
    await writing
    writing = writeAll(handle, pending)
    // It is awaited with the next piece; until then a failure must not count as unhandled.
    writing.catch(() => {})
    pending = []
    pendingBytes = 0
  }
  try {
    for (const segment of segments)
      for (const chunk of chunksOf(segment, scratch)) {
        onChunk?.(chunk)
        pending.push(chunk)
        pendingBytes += chunk.length
        // A chunk in a scratch buffer must leave before the buffer's turn comes again.
        if (buffers.some(({ buffer }) => buffer === chunk.buffer) || pendingBytes >= CHUNK || pending.length >= 512)
          await flush()
      }
    await flush()
    await writing
  } finally {
    await writing.catch(() => {})
    await handle.close()
  }
}

async function writeAll(handle: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  let rest = chunks
  while (rest.length) {
    let { bytesWritten } = await handle.writev(rest)
    const left: Uint8Array[] = []
    for (const chunk of rest) {
      if (bytesWritten >= chunk.length) bytesWritten -= chunk.length
      else {
        left.push(chunk.subarray(bytesWritten))
        bytesWritten = 0
      }
    }
    rest = left
  }
}
