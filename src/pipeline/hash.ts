import { type BigIntStats, closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { OnnxError } from '../onnx/errors.ts'
import { ContentHash, contentHash, PIECE } from './content-hash.ts'
import { stat } from './quick-files.ts'

/** What tells that a file is still the one it was, without reading it. Big integers as decimal texts (plain JSON). */
export interface FileStamp {
  size: number
  mtimeNs: string
  ctimeNs: string
  ino: string
}

/** A file's content and the stamp it had while it was read. */
export interface HashedFile {
  file: string
  /** See `ContentHash`. */
  hash: string
  stamp: FileStamp
}

const ATTEMPTS = 3

/** Stamp of a stat taken with `bigint: true`. */
function stampOf(stats: BigIntStats): FileStamp {
  return {
    size: Number(stats.size),
    mtimeNs: String(stats.mtimeNs),
    ctimeNs: String(stats.ctimeNs),
    ino: String(stats.ino),
  }
}

/** Stamp of the file at `path` (links followed). */
export async function stampFile(path: string): Promise<FileStamp> {
  return stampOf(await stat(path, { bigint: true }))
}

/** True if nothing tells that a file has changed between two stamps. */
export function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.ino === b.ino
}

/**
 * Hash of a file's content, streamed through one small buffer. Retries when the file changes meanwhile, and gives up with
 * `MODEL_CHANGED` when it never stands still. Hashing is CPU work: call it in a worker.
 */
export async function hashFile(path: string, onProgress?: (fraction: number) => void): Promise<HashedFile> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const stats = await stat(path)
    if (stats.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR', path })
    const { hash, before, after } = stats.size <= PIECE ? hashNow(path) : await hashLarge(path, onProgress)
    if (sameStamp(before, after) && sameStamp(before, await stampFile(path))) {
      onProgress?.(1)
      return { file: path, hash, stamp: before }
    }
  }
  throw new OnnxError('MODEL_CHANGED', 'the file keeps changing while it is read', {
    place: { file: path },
    hint: 'Wait until it is written completely, then build again.',
  })
}

interface Hashed {
  hash: string
  before: FileStamp
  after: FileStamp
}

/** A small file is hashed at once: every read through Node's threads takes longer than the hash. */
function hashNow(path: string): Hashed {
  const fd = openSync(path, 'r')
  try {
    const before = stampOf(fstatSync(fd, { bigint: true }))
    const hash = contentHash(readFileSync(fd))
    return { hash, before, after: stampOf(fstatSync(fd, { bigint: true })) }
  } finally {
    closeSync(fd)
  }
}

async function hashLarge(path: string, onProgress?: (fraction: number) => void): Promise<Hashed> {
  const { open } = await import('node:fs/promises')
  const handle = await open(path, 'r')
  try {
    const before = stampOf(await handle.stat({ bigint: true }))
    const hash = await digest(handle, before.size, onProgress)
    return { hash, before, after: stampOf(await handle.stat({ bigint: true })) }
  } finally {
    await handle.close()
  }
}

/** From this size on pieces are hashed at the same time: each is copied for that, which small files do not pay back. */
const LARGE = 1 << 27

async function digest(handle: FileHandle, size: number, onProgress?: (fraction: number) => void): Promise<string> {
  const hash = new ContentHash()
  // Two buffers: the next piece is read while this one is hashed.
  const buffers = [Buffer.allocUnsafeSlow(PIECE), Buffer.allocUnsafeSlow(PIECE)] as const
  let done = 0
  let which = 0
  let pending = readPiece(handle, buffers[0], 0)
  for (;;) {
    const piece = await pending
    if (piece.length === 0) return size < LARGE ? hash.digestHere() : hash.digest()
    done += piece.length
    which ^= 1
    pending = readPiece(handle, buffers[which]!, done)
    // It is awaited with the next turn; until then a failure must not count as unhandled.
    pending.catch(() => {})
    if (size < LARGE) hash.updateHere(piece)
    else await hash.addPiece(piece)
    onProgress?.(size > 0 ? Math.min(1, done / size) : 1)
  }
}

/** Fills a buffer from a place of a file, but at its end. */
async function readPiece(
  handle: FileHandle,
  buffer: Buffer<ArrayBuffer>,
  position: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}
