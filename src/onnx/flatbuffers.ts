import { ByteBuffer } from 'flatbuffers'

/** Tables of a FlatBuffers file. The library reads zeros beyond the end; these readers throw an Error in words instead. */
export interface Tables {
  readonly buffer: ByteBuffer
  /** `at`, where `length` bytes from there lie in the file. */
  within(at: number, length: number): number
  /** Place of a field of the table at `table`, 0 if the table lacks it. */
  fieldOf(table: number, index: number): number
  /** Place and number of the elements of a vector field; none if the table lacks it. */
  vector(table: number, index: number): { start: number; length: number }
  /** Text of a string field, undefined if the table lacks it. */
  text(table: number, index: number): string | undefined
}

/** Reads tables with a check of every place. */
export function openTables(bytes: Uint8Array): Tables {
  const buffer = new ByteBuffer(bytes)
  const within = (at: number, length: number): number => {
    if (at >= 0 && length >= 0 && at + length <= bytes.length) return at
    throw new Error('it is cut off or damaged')
  }
  const fieldOf = (table: number, index: number): number => {
    const layout = within(within(table, 4) - buffer.readInt32(table), 4)
    within(layout, buffer.readInt16(layout))
    // The vtable begins with two lengths.
    const at = buffer.__offset(table, 4 + 2 * index)
    return at && within(table + at, 4)
  }
  return {
    buffer,
    within,
    fieldOf,
    vector(table, index) {
      const at = fieldOf(table, index)
      if (!at) return { start: 0, length: 0 }
      const start = within(buffer.__vector(at) - 4, 4) + 4
      return { start, length: buffer.__vector_len(at) }
    },
    text(table, index) {
      const at = fieldOf(table, index)
      if (!at) return undefined
      const start = within(at + buffer.readInt32(at), 4)
      within(start + 4, buffer.readInt32(start))
      return String(buffer.__string(at))
    },
  }
}
