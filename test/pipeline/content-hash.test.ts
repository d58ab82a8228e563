import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ComputedBytes, FileBytes, PiecewiseBytes } from '../../src/onnx/bytes.ts'
import { writeSegments } from '../../src/onnx/encode.ts'
import { ContentHash, contentHash } from '../../src/pipeline/content-hash.ts'
import { copy } from '../../src/pipeline/copy.ts'
import { hashFile } from '../../src/pipeline/hash.ts'

const folder = mkdtempSync(join(tmpdir(), 'content-hash-'))
afterAll(() => rmSync(folder, { recursive: true }))

const PIECE = 1 << 20
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
const bytes = randomBytes(2 * PIECE + 12345)

/** By the definition. */
function expected(content: Uint8Array): string {
  if (content.length <= PIECE) return sha256(content).toString('hex')
  const pieces: Buffer[] = []
  for (let at = 0; at < content.length; at += PIECE) pieces.push(sha256(content.subarray(at, at + PIECE)))
  return sha256(Buffer.concat(pieces)).toString('hex')
}

test.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, bytes.length])('%d bytes, in any pieces', async (length) => {
  const content = bytes.subarray(0, length)
  expect(contentHash(content)).toBe(expected(content))
  const uneven = new ContentHash()
  for (let at = 0; at < length; at += 777_777) uneven.updateHere(content.subarray(at, at + 777_777))
  expect(uneven.digestHere()).toBe(expected(content))
  const whole = new ContentHash()
  const buffer = new Uint8Array(PIECE)
  for (let at = 0; at < length; at += PIECE) {
    const piece = buffer.subarray(0, Math.min(PIECE, length - at))
    piece.set(content.subarray(at, at + PIECE))
    await whole.addPiece(piece)
    // what was added may change
    buffer.fill(0)
  }
  expect(await whole.digest()).toBe(expected(content))
  const file = join(folder, `${length}.bin`)
  writeFileSync(file, content)
  expect((await hashFile(file)).hash).toBe(expected(content))
  await copy(file, `${file}.copy`)
  expect(readFileSync(`${file}.copy`).equals(content)).toBe(true)
})

test('segments of all kinds are written as they are, in whole pieces', async () => {
  const source = join(folder, 'source.bin')
  writeFileSync(source, bytes)
  const lengths: number[] = []
  const fill = (target: Uint8Array, offset: number): void => {
    expect(offset % 64).toBe(0)
    expect(target.length % 64 === 0 || offset + target.length === 1_700_001).toBe(true)
    target.set(bytes.subarray(offset, offset + target.length))
  }
  const path = join(folder, 'segments.bin')
  const hash = new ContentHash()
  await writeSegments(
    path,
    [
      bytes.subarray(0, 17),
      new PiecewiseBytes(1_700_001, fill),
      new FileBytes(source, 5, PIECE + 99),
      new ComputedBytes(1000, () => bytes.subarray(0, 1000)),
      new PiecewiseBytes(1_700_001, fill),
      bytes,
    ],
    (piece) => {
      lengths.push(piece.length)
      return hash.addPiece(piece)
    },
  )
  const whole = Buffer.concat([
    bytes.subarray(0, 17),
    bytes.subarray(0, 1_700_001),
    bytes.subarray(5, 5 + PIECE + 99),
    bytes.subarray(0, 1000),
    bytes.subarray(0, 1_700_001),
    bytes,
  ])
  expect(readFileSync(path).equals(whole)).toBe(true)
  expect(lengths.slice(0, -1).every((length) => length === PIECE)).toBe(true)
  expect(await hash.digest()).toBe(expected(whole))
})
