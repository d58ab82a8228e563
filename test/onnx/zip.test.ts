import { zipSync } from 'fflate'
import { describe, expect, test } from 'vitest'
import { readZip } from '../../src/onnx/zip.ts'

const text = (length: number) => new TextEncoder().encode('all work and no play '.repeat(length))
const all = () => true

/** Moves the sizes of the one file of an archive into a 64-bit extra field, and the directory's place into 64-bit records. */
function widened(archive: Uint8Array): Uint8Array {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength)
  const end = archive.length - 22
  const at = view.getUint32(end + 16, true)
  const nameLength = view.getUint16(at + 28, true)
  const entry = archive.slice(at, at + 46 + nameLength)
  const about = new DataView(entry.buffer)
  const extra = new DataView(new ArrayBuffer(20))
  extra.setUint16(0, 1, true)
  extra.setUint16(2, 16, true)
  extra.setBigUint64(4, BigInt(about.getUint32(24, true)), true)
  extra.setBigUint64(12, BigInt(about.getUint32(20, true)), true)
  about.setUint32(20, 0xffffffff, true)
  about.setUint32(24, 0xffffffff, true)
  about.setUint16(30, 20, true)
  const wide = new DataView(new ArrayBuffer(56 + 20))
  wide.setUint32(0, 0x06064b50, true)
  wide.setBigUint64(32, 1n, true)
  wide.setBigUint64(48, BigInt(at), true)
  wide.setUint32(56, 0x07064b50, true)
  wide.setBigUint64(56 + 8, BigInt(at + entry.length + 20), true)
  const last = archive.slice(end)
  const lastView = new DataView(last.buffer)
  lastView.setUint16(10, 0xffff, true)
  lastView.setUint32(16, 0xffffffff, true)
  return Uint8Array.from([
    ...archive.subarray(0, at),
    ...entry,
    ...new Uint8Array(extra.buffer),
    ...new Uint8Array(wide.buffer),
    ...last,
  ])
}

describe('files of an archive', () => {
  test.each([0, 6] as const)('come out as they went in, compressed at level %i', (level) => {
    const files = { 'a.npy': text(1000), 'b/ü.txt': text(3), empty: new Uint8Array(0) }
    expect(Object.fromEntries(readZip(zipSync(files, { level }), all))).toEqual(files)
  })

  test('are only those that are wanted', () => {
    const archive = zipSync({ 'a.npy': text(1), 'b.txt': text(2) })
    expect([...readZip(archive, (name) => name.endsWith('.npy')).keys()]).toEqual(['a.npy'])
  })

  test('may have sizes and places of 64 bits', () => {
    const archive = widened(zipSync({ 'a.npy': text(100) }))
    expect(readZip(archive, all).get('a.npy')).toEqual(text(100))
  })

  test('are found before a comment, and after bytes that are no part of the file', () => {
    const archive = zipSync({ 'a.npy': text(9) })
    const comment = new TextEncoder().encode('made by hand')
    const longer = new Uint8Array(5 + archive.length + comment.length).subarray(5)
    longer.set(archive)
    longer.set(comment, archive.length)
    longer[archive.length - 2] = comment.length
    expect(readZip(longer, all).get('a.npy')).toEqual(text(9))
  })
})

describe('archives that are damaged', () => {
  const archive = zipSync({ 'a.npy': text(1000), 'b.npy': text(1000) })

  test.each([0, 1, 21, 60, archive.length - 1])('are refused, cut off after %i bytes', (length) => {
    expect(() => readZip(archive.subarray(0, length), all)).toThrow(/end record/)
  })

  test('are refused in words or read, whichever byte is wrong', () => {
    for (let at = 0; at < archive.length; at++) {
      const wrong = archive.slice()
      wrong[at]! ^= 0xff
      try {
        readZip(wrong, all)
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
    }
  })

  test('are refused where a file is not as long as it should be, encrypted, or compressed in another way', () => {
    const changed = (offset: number, value: number) => {
      const copy = archive.slice()
      const directory = new DataView(copy.buffer).getUint32(copy.length - 6, true)
      copy[directory + offset] = value
      return copy
    }
    expect(() => readZip(changed(24, 1), all)).toThrow()
    expect(() => readZip(changed(25, 255), all)).toThrow(/instead of/)
    expect(() => readZip(changed(8, 1), all)).toThrow(/encrypted/)
    expect(() => readZip(changed(10, 9), all)).toThrow(/not known \(9\)/)
    expect(() => readZip(changed(43, 255), all)).toThrow(/cut off/)
  })
})
