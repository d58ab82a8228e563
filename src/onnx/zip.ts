import { inflateRawSync } from 'node:zlib'

const END = 0x06054b50
const END_64 = 0x06064b50
const LOCATOR_64 = 0x07064b50
const ENTRY = 0x02014b50
const LOCAL = 0x04034b50
/** An end record is at most so long: its comment has 16 bits of length. */
const LONGEST_END = 22 + 0xffff

/**
 * Files of a zip archive: stored or deflated, also with 64-bit sizes; no encryption, no volumes.
 *
 * @param wanted whether a file is to be read, by its name
 * @returns contents by name, in the archive's order; views of `bytes` where they are stored
 * @throws Error in words if it is damaged
 */
export function readZip(bytes: Uint8Array, wanted: (name: string) => boolean): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const files = new Map<string, Uint8Array>()
  let { count, at } = directoryOf(view)
  for (; count > 0; count--) {
    expect(view, at, ENTRY, 46)
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true))
    const end = at + 46 + nameLength! + extraLength!
    within(view, at, end - at)
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength!))
    if (wanted(name)) {
      const place = placeOf(view, at, end - extraLength!, end)
      const flags = view.getUint16(at + 8, true)
      if (flags & 1) throw new Error(`'${name}' is encrypted`)
      files.set(name, contentOf(bytes, view, name, place, view.getUint16(at + 10, true)))
    }
    at = end + commentLength!
  }
  return files
}

/** Number and place of the directory's entries. */
function directoryOf(view: DataView): { count: number; at: number } {
  const from = Math.max(0, view.byteLength - LONGEST_END)
  for (let end = view.byteLength - 22; end >= from; end--) {
    if (view.getUint32(end, true) !== END) continue
    const count = view.getUint16(end + 10, true)
    const at = view.getUint32(end + 16, true)
    if (end < 20 || view.getUint32(end - 20, true) !== LOCATOR_64) return { count, at }
    const wide = number64(view, end - 12)
    expect(view, wide, END_64, 56)
    return { count: number64(view, wide + 32), at: number64(view, wide + 48) }
  }
  throw new Error('it has no end record of a zip archive')
}

interface Place {
  packed: number
  size: number
  offset: number
}

/** Sizes and place of an entry; what does not fit into 32 bits is in the extra field, in this order. */
function placeOf(view: DataView, entry: number, extra: number, end: number): Place {
  const place: Place = {
    size: view.getUint32(entry + 24, true),
    packed: view.getUint32(entry + 20, true),
    offset: view.getUint32(entry + 42, true),
  }
  for (let at = extra; at + 4 <= end; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue
    let next = at + 4
    for (const key of ['size', 'packed', 'offset'] as const)
      if (place[key] === 0xffffffff) {
        within(view, next, 8)
        place[key] = number64(view, next)
        next += 8
      }
  }
  return place
}

function contentOf(bytes: Uint8Array, view: DataView, name: string, place: Place, method: number): Uint8Array {
  const { packed, size, offset } = place
  expect(view, offset, LOCAL, 30)
  const start = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true)
  within(view, start, packed)
  const content = bytes.subarray(start, start + packed)
  if (method !== 0 && method !== 8) throw new Error(`'${name}' is compressed in a way that is not known (${method})`)
  const plain = method === 0 ? content : inflateRawSync(content, { maxOutputLength: Math.max(1, size) })
  if (plain.length !== size) throw new Error(`'${name}' has ${plain.length} bytes instead of ${size}`)
  return new Uint8Array(plain.buffer, plain.byteOffset, size)
}

function number64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true))
}

function expect(view: DataView, at: number, signature: number, length: number): void {
  within(view, at, length)
  if (view.getUint32(at, true) !== signature) throw new Error(`byte ${at} does not begin a record of a zip archive`)
}

function within(view: DataView, at: number, length: number): void {
  if (at + length > view.byteLength) throw new Error('it is cut off')
}
