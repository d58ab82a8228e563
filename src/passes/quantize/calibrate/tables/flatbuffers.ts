import { Builder } from 'flatbuffers'
import { openTables } from '../../../../onnx/flatbuffers.ts'

/**
 * Places of the fields in the tables of the schema: `TrtTable { dict: [KeyValue] }` and `KeyValue { key: string; value: string }`, of
 * which `TrtTable` is the root.
 */
const KEY = 0
const VALUE = 1

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
  const { buffer, within, vector, text } = openTables(bytes)
  const entry = (table: number, index: number): string => {
    const found = text(table, index)
    if (found === undefined) throw new Error('it has an entry without name or value')
    return found
  }
  const { start, length } = vector(buffer.readInt32(within(0, 4)), 0)
  within(start, 4 * length)
  return Array.from({ length }, (_, i) => {
    const pair = buffer.__indirect(start + 4 * i)
    return [entry(pair, KEY), entry(pair, VALUE)]
  })
}
