import { type BigIntStats, closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { OnnxError } from '../onnx/errors.ts'
import { ContentHash, contentHash } from './content-hash.ts'
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

/** Reads of this size keep the hash busy and the memory small. */
const CHUNK = 1 << 20
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
    const { hash, before, after } = stats.size <= CHUNK ? hashNow(path) : await hashLarge(path, onProgress)
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

async function digest(handle: FileHandle, size: number, onProgress?: (fraction: number) => void): Promise<string> {
  const hash = new ContentHash()
  // Two buffers: the next chunk is read while this one is hashed.
  const buffers = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)] as const
  let done = 0
  let which = 0
  let pending = handle.read(buffers[0], 0, CHUNK, 0)
  for (;;) {
    const { bytesRead, buffer } = await pending
    if (bytesRead === 0) return hash.digestHere()
    done += bytesRead
    which ^= 1
    pending = handle.read(buffers[which]!, 0, CHUNK, done)
    hash.updateHere(buffer.subarray(0, bytesRead))
    onProgress?.(size > 0 ? Math.min(1, done / size) : 1)
  }
}
