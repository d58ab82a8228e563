import { Builder, ByteBuffer } from 'flatbuffers'

/**
 * Places of the fields in the tables of the schema: `TrtTable { dict: [KeyValue] }` and `KeyValue { key: string; value: string }`, of
 * which `TrtTable` is the root.
 */
const KEY = 0
const VALUE = 1
/** Offset of a field in the vtable, which begins with two lengths. */
const field = (index: number): number => 4 + 2 * index

/** Writes texts by name as a TrtTable. */
export function encodeTrtTable(entries: readonly (readonly [key: string, value: string])[]): Uint8Array {
  const builder = new Builder(1024)
  const pairs = entries.map(([key, value]) => {
    const [keyAt, valueAt] = [builder.createString(key), builder.createString(value)]
    builder.startObject(2)
    builder.addFieldOffset(KEY, keyAt, 0)
    builder.addFieldOffset(VALUE, valueAt, 0)
    return builder.endObject()
  })
  builder.startVector(4, pairs.length, 4)
  for (const pair of pairs.toReversed()) builder.addOffset(pair)
  const list = builder.endVector()
  builder.startObject(1)
  builder.addFieldOffset(0, list, 0)
  builder.finish(builder.endObject())
  return builder.asUint8Array()
}

/**
 * Reads a TrtTable.
 * @throws Error in words if it is damaged
 */
export function decodeTrtTable(bytes: Uint8Array): [key: string, value: string][] {
  const buffer = new ByteBuffer(bytes)
  // The library reads zeros beyond the end.
  const within = (at: number, length: number): number => {
    if (at >= 0 && length >= 0 && at + length <= bytes.length) return at
    throw new Error('it is cut off or damaged')
  }
  const fieldOf = (table: number, index: number): number => {
    const layout = within(within(table, 4) - buffer.readInt32(table), 4)
    within(layout, buffer.readInt16(layout))
    const at = buffer.__offset(table, field(index))
    return at && within(table + at, 4)
  }
  const text = (table: number, index: number): string => {
    const at = fieldOf(table, index)
    if (!at) throw new Error('it has an entry without name or value')
    const start = within(at + buffer.readInt32(at), 4)
    within(start + 4, buffer.readInt32(start))
    return String(buffer.__string(at))
  }
  const list = fieldOf(buffer.readInt32(within(0, 4)), 0)
  if (!list) return []
  const start = within(buffer.__vector(list) - 4, 4) + 4
  const length = buffer.__vector_len(list)
  within(start, 4 * length)
  return Array.from({ length }, (_, i) => {
    const pair = buffer.__indirect(start + 4 * i)
    return [text(pair, KEY), text(pair, VALUE)]
  })
}
