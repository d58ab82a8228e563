import { closeSync, openSync, writevSync } from 'node:fs'
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

/** Weights are copied from file to file in pieces of this size. */
const CHUNK = 1 << 22

/** Yields the bytes of a segment in pieces, reading files chunk by chunk into one reused buffer. */
export function* chunksOf(segment: Segment, scratch: () => Buffer): Generator<Uint8Array> {
  if (segment instanceof Uint8Array) return yield segment
  const { file } = segment as ByteSource
  if (!file) return yield segment.read()
  const fd = openSync(file.path, 'r')
  try {
    const buffer = scratch()
    for (let done = 0; done < segment.length; done += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, segment.length - done))
      readFully(fd, piece, file.offset + done, file.path)
      yield piece
    }
  } finally {
    closeSync(fd)
  }
}

/**
 * Writes segments to a new file, front to back, calling `onChunk` with every piece (for hashing and progress).
 * Memory stays at a few megabytes, or at the largest computed segment.
 */
export function writeSegments(path: string, segments: Iterable<Segment>, onChunk?: (chunk: Uint8Array) => void): void {
  const fd = openSync(path, 'wx')
  let buffer: Buffer | undefined
  const scratch = (): Buffer => (buffer ??= Buffer.allocUnsafeSlow(CHUNK))
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  const flush = (): void => {
    writeAll(fd, pending)
    pending = []
    pendingBytes = 0
  }
  try {
    for (const segment of segments)
      for (const chunk of chunksOf(segment, scratch)) {
        onChunk?.(chunk)
        pending.push(chunk)
        pendingBytes += chunk.length
        // A chunk in the scratch buffer must leave before the buffer is used again.
        if (chunk.buffer === buffer?.buffer || pendingBytes >= CHUNK || pending.length >= 512) flush()
      }
    flush()
  } finally {
    closeSync(fd)
  }
}

function writeAll(fd: number, chunks: Uint8Array[]): void {
  let rest = chunks
  while (rest.length) {
    let written = writevSync(fd, rest)
    const left: Uint8Array[] = []
    for (const chunk of rest) {
      if (written >= chunk.length) written -= chunk.length
      else {
        left.push(chunk.subarray(written))
        written = 0
      }
    }
    rest = left
  }
}
