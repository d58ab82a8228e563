import { createHash } from 'node:crypto'

/** Files are hashed in pieces of this size; `writeModel` writes such pieces. */
export const PIECE: number = 1 << 20

/** Pieces that may be hashed at a time: each is copied for that. */
const AT_ONCE = 8

/** The hash of a few bytes. */
export function contentHash(bytes: Uint8Array): string {
  const hash = new ContentHash()
  hash.updateHere(bytes)
  return hash.digestHere()
}

/**
 * What identifies content: hex SHA-256 of up to 1 MiB; of more, the SHA-256 over those of its pieces of that size. Pieces can be
 * hashed at the same time, while one SHA-256 takes longer than everything else that is done to a large model.
 */
export class ContentHash {
  readonly #pieces: (Uint8Array | Promise<Uint8Array>)[] = []
  #current = createHash('sha256')
  #filled = 0

  /** Adds bytes, hashing on this thread. */
  updateHere(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === PIECE) this.#close()
      const part = bytes.subarray(at, at + PIECE - this.#filled)
      this.#current.update(part)
      this.#filled += part.length
      at += part.length
    }
  }

  /**
   * Adds a whole piece, which only the last one may fall short of, and hashes it beside this thread. The bytes may change as soon as
   * this has returned; the promise is kept when there is room for more.
   */
  async addPiece(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    // not worth a trip to another thread
    if (bytes.length < PIECE && this.#pieces.length === 0) return this.updateHere(bytes)
    const piece = crypto.subtle.digest('SHA-256', bytes).then((digest) => new Uint8Array(digest))
    piece.catch(() => {})
    this.#pieces.push(piece)
    const before = this.#pieces.length - AT_ONCE
    if (before >= 0) await this.#pieces[before]
  }

  #close(): void {
    this.#pieces.push(this.#current.digest())
    this.#current = createHash('sha256')
    this.#filled = 0
  }

  /** Hex digest of what was added on this thread. */
  digestHere(): string {
    if (this.#pieces.length === 0) return this.#current.digest('hex')
    this.#close()
    return digestOf(this.#pieces as Uint8Array[])
  }

  /** Hex digest of what was added in pieces. */
  async digest(): Promise<string> {
    const pieces = await Promise.all(this.#pieces)
    if (pieces.length === 0) return this.#current.digest('hex')
    return pieces.length === 1 ? Buffer.from(pieces[0]!).toString('hex') : digestOf(pieces)
  }
}

function digestOf(pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}
