import { closeSync, openSync, readSync } from 'node:fs'
import { OnnxError } from './errors.ts'

/**
 * Bytes that need not be in memory: weights stay where they are (in the model file, in a data file, not computed yet) until
 * somebody reads them.
 */
export interface ByteSource {
  /** Number of bytes. */
  readonly length: number
  /** Reads all bytes into a fresh buffer (8-byte aligned), or into `target`, which must have room for them. */
  read(target?: Uint8Array): Uint8Array
  /** Set where the bytes are a range of a file: lets writers copy in chunks. */
  readonly file?: { readonly path: string; readonly offset: number }
  /** Set where any part can be made by itself: fills `target` with the bytes from `offset` on. */
  readonly fill?: ((target: Uint8Array, offset: number) => void) | undefined
}

/** Largest single read: keeps below the limits of `readSync` and gives progress a chance. */
const MAX_READ = 1 << 28

/** Reads `target.length` bytes at `offset` of an open file. Throws if the file ends before. */
export function readFully(fd: number, target: Uint8Array, offset: number, path: string): void {
  let done = 0
  while (done < target.length) {
    const n = readSync(fd, target, done, Math.min(MAX_READ, target.length - done), offset + done)
    if (n === 0)
      throw new OnnxError('FILE_TRUNCATED', `the file ends ${target.length - done} bytes too early`, {
        place: { file: path },
        hint: 'Was it cut off while copying or downloading? Fetch it again.',
      })
    done += n
  }
}

/** A range of a file, read on demand. */
export class FileBytes implements ByteSource {
  readonly file: { readonly path: string; readonly offset: number }
  readonly length: number

  constructor(path: string, offset: number, length: number) {
    this.file = { path, offset }
    this.length = length
  }

  read(target?: Uint8Array): Uint8Array {
    const bytes = target?.subarray(0, this.length) ?? new Uint8Array(this.length)
    const fd = openSync(this.file.path, 'r')
    try {
      readFully(fd, bytes, this.file.offset, this.file.path)
    } finally {
      closeSync(fd)
    }
    return bytes
  }

  /** A part of this range, without reading it. */
  slice(start: number, length: number): FileBytes {
    return new FileBytes(this.file.path, this.file.offset + start, length)
  }
}

/** Bytes that are computed when they are needed, e.g. while the output file is written. Computed anew at every read. */
export class ComputedBytes implements ByteSource {
  readonly length: number
  readonly #compute: () => Uint8Array

  constructor(length: number, compute: () => Uint8Array) {
    this.length = length
    this.#compute = compute
  }

  read(target?: Uint8Array): Uint8Array {
    const bytes = this.#compute()
    if (bytes.length !== this.length)
      throw new Error(`computed ${bytes.length} bytes where ${this.length} were promised`)
    if (!target) return bytes
    target.set(bytes)
    return target.subarray(0, this.length)
  }
}

/** Bytes that are computed piece by piece when they are needed, so that they are never in memory as a whole. */
export class PiecewiseBytes implements ByteSource {
  readonly length: number
  readonly fill: (target: Uint8Array, offset: number) => void

  /** @param fill fills `target` with the bytes from `offset` on; both are multiples of 64, but at the end */
  constructor(length: number, fill: (target: Uint8Array, offset: number) => void) {
    this.length = length
    this.fill = fill
  }

  read(target?: Uint8Array): Uint8Array {
    const bytes = target?.subarray(0, this.length) ?? new Uint8Array(this.length)
    this.fill(bytes, 0)
    return bytes
  }
}

/** The bytes themselves, read if they are not in memory. */
export function bytesOf(source: Uint8Array | ByteSource): Uint8Array {
  return source instanceof Uint8Array ? source : source.read()
}
