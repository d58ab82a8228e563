import type { ModelProto, TensorProto } from './proto.ts'
import { SCHEMA, type Scalar } from './schema.ts'
import type { Reader, SegmentWriter } from './wire.ts'

interface Field {
  readonly id: number
  readonly name: string
  readonly type: Scalar | Message
  readonly repeated: boolean
  readonly wire: number
}

interface Message {
  /** In the order of their numbers, as they are written. */
  readonly fields: readonly Field[]
  readonly byId: ReadonlyMap<number, Field>
}

type Content = Record<string, unknown> & { $unknowns?: Uint8Array[] }

/** Wire types of scalars; messages are length-delimited. */
const WIRE: Readonly<Record<string, number>> = { string: 2, bytes: 2, int32: 0, uint32: 0, int64: 0, float: 5 }
const DELIMITED = 2
/** Messages nested deeper than this are taken for an attack. */
const DEEPEST = 100

const messages = new Map<string, Message>()

function messageOf(name: string): Message {
  const known = messages.get(name)
  if (known) return known
  const fields: Field[] = []
  const byId = new Map<number, Field>()
  const message: Message = { fields, byId }
  messages.set(name, message)
  for (const [key, [id, type, repeated = false]] of Object.entries(SCHEMA[name]!)) {
    const wire = WIRE[type]
    const field = {
      id,
      name: key,
      type: wire === undefined ? messageOf(type) : (type as Scalar),
      repeated,
      wire: wire ?? DELIMITED,
    }
    fields.push(field)
    byId.set(id, field)
  }
  return message
}

/** Messages that are files of their own. */
interface Files {
  ModelProto: ModelProto
  TensorProto: TensorProto
}

/**
 * Reads a message. Fields that the schema does not know, or that come in another form than it says, are kept in `$unknowns`.
 *
 * @throws RangeError or Error if the bytes are no message
 */
export function readMessage<K extends keyof Files>(name: K, reader: Reader): Files[K] {
  return read(messageOf(name), reader, reader.len, {}, 0) as Files[K]
}

/** Writes a message. Throws RangeError if it gets too large for the format. */
export function writeMessage<K extends keyof Files>(name: K, message: Files[K], writer: SegmentWriter): void {
  write(messageOf(name), message as Content, writer, 0)
}

function read({ byId }: Message, reader: Reader, end: number, content: Content, depth: number): Content {
  if (depth > DEEPEST) throw new Error('messages are nested too deeply')
  const limit = reader.len
  if (end > limit) throw new RangeError('index out of range')
  reader.len = end
  while (reader.pos < end) {
    const start = reader.pos
    const tag = reader.tag()
    const field = byId.get(tag >>> 3)
    const wire = tag & 7
    if (field && wire === field.wire) {
      const { name, type, repeated } = field
      const list = repeated ? listOf(content, name) : undefined
      const value =
        typeof type === 'string'
          ? reader[type]()
          : // A message that comes in parts is put together.
            read(type, reader, reader.size() + reader.pos, list ? {} : ((content[name] as Content) ?? {}), depth + 1)
      if (list) list.push(value)
      else content[name] = value
    } else if (field?.repeated && typeof field.type === 'string' && wire === DELIMITED) {
      readPacked(field.type, reader, listOf(content, field.name))
    } else {
      reader.skipType(wire, depth, tag >>> 3)
      if (!content.$unknowns) Object.defineProperty(content, '$unknowns', { value: [], writable: true })
      content.$unknowns!.push(reader.raw(start, reader.pos))
    }
  }
  if (reader.pos !== end) throw new RangeError('index out of range')
  reader.len = limit
  return content
}

/** Numbers of a repeated field, one after another without tags. */
function readPacked(type: Scalar, reader: Reader, list: unknown[]): void {
  const end = reader.size() + reader.pos
  const limit = reader.len
  if (end > limit) throw new RangeError('index out of range')
  reader.len = end
  while (reader.pos < end) list.push(reader[type]())
  reader.len = limit
}

function listOf(content: Content, name: string): unknown[] {
  content[name] ??= []
  return content[name] as unknown[]
}

function write({ fields }: Message, content: Content, writer: SegmentWriter, depth: number): void {
  if (depth > DEEPEST) throw new Error('messages are nested too deeply')
  for (const field of fields) {
    const value = content[field.name]
    if (value === undefined || value === null) continue
    if (field.repeated) for (const element of value as unknown[]) writeField(field, element, writer, depth)
    else writeField(field, value, writer, depth)
  }
  for (const bytes of content.$unknowns ?? []) writer.raw(bytes)
}

function writeField({ id, type, wire }: Field, value: unknown, writer: SegmentWriter, depth: number): void {
  writer.uint32(((id << 3) | wire) >>> 0)
  if (typeof type === 'string') writer[type](value as never)
  else {
    writer.fork()
    write(type, value as Content, writer, depth + 1)
    writer.ldelim()
  }
}
