import { FileBytes, readFully } from './bytes.ts'
import { OnnxError } from './errors.ts'

/** Byte fields of tensors from this size on stay in the file. */
const LEAVE_IN_FILE = 4096
/** Field number of `TensorProto.slice` in our schema. */
const SLICE_FIELD = 536870911
const RAW_DATA = 9

type Kind = 'model' | 'graph' | 'node' | 'attribute' | 'tensor' | 'sparse' | 'function'

/** Which length-delimited fields lead to tensors: by message kind and field number. */
const CHILDREN: Record<Kind, Readonly<Record<number, Kind>>> = {
  model: { 7: 'graph', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 11: 'attribute' },
  tensor: {},
}

/** Sequential reader over a file through a window, so that skipped ranges are never read. */
class Window {
  readonly #fd: number
  readonly #path: string
  readonly size: number
  #buffer: Buffer = Buffer.allocUnsafe(1 << 18)
  #start = 0
  #end = 0
  pos = 0

  constructor(fd: number, path: string, size: number) {
    this.#fd = fd
    this.#path = path
    this.size = size
  }

  /** A view of the next `n` bytes without advancing; valid until the next call. */
  peek(n: number): Buffer {
    if (this.pos + n > this.size) throw truncated(this.#path, this.pos + n - this.size)
    if (this.pos < this.#start || this.pos + n > this.#end) {
      if (n > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(n)
      const length = Math.min(this.#buffer.length, this.size - this.pos)
      readFully(this.#fd, this.#buffer.subarray(0, length), this.pos, this.#path)
      this.#start = this.pos
      this.#end = this.pos + length
    }
    return this.#buffer.subarray(this.pos - this.#start, this.pos - this.#start + n)
  }

  varint(limit: number): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      if (this.pos >= limit) throw corrupt(this.#path, this.pos, 'a number runs past the end of its message')
      const byte = this.peek(1)[0]!
      this.pos++
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw corrupt(this.#path, this.pos, 'a number is longer than ten bytes')
  }
}

function truncated(path: string, missing: number): OnnxError {
  return new OnnxError('MODEL_TRUNCATED', `the model file ends at least ${missing} bytes too early`, {
    place: { file: path },
    hint: 'Was it cut off while copying or downloading? Fetch it again.',
  })
}

function corrupt(path: string, at: number, why: string): OnnxError {
  return new OnnxError('MODEL_CORRUPT', `this is not a valid ONNX file: ${why} (byte ${at})`, {
    place: { file: path },
    hint: 'Fetch or export the model again; if another tool reads it, please report it.',
  })
}

/** Growing output buffer. Lengths of nested messages are written as five-byte varints, which every decoder accepts. */
class Output {
  buffer: Buffer = Buffer.allocUnsafe(1 << 16)
  pos = 0

  room(n: number): void {
    if (this.pos + n <= this.buffer.length) return
    const next = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.pos + n))
    this.buffer.copy(next, 0, 0, this.pos)
    this.buffer = next
  }

  copy(bytes: Buffer): void {
    this.room(bytes.length)
    bytes.copy(this.buffer, this.pos)
    this.pos += bytes.length
  }

  varint(value: number): void {
    this.room(10)
    let rest = value
    while (rest > 127) {
      this.buffer[this.pos++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.buffer[this.pos++] = rest
  }

  open(): number {
    this.room(5)
    this.pos += 5
    return this.pos
  }

  close(start: number): void {
    let length = this.pos - start
    for (let i = start - 5; i < start - 1; i++, length = Math.floor(length / 128))
      this.buffer[i] = (length % 128) | 0x80
    this.buffer[start - 1] = length
  }
}

export interface Skeleton {
  /** The encoded model with every large `raw_data` replaced by the field `slice`: an index into `slices`. */
  bytes: Buffer
  slices: FileBytes[]
}

/**
 * Reads an ONNX file but leaves weights where they are. Time and memory follow the size of the graph, not of the weights.
 *
 * @param fd open file of `size` bytes; `path` names it in errors and in the slices.
 */
export function readSkeleton(fd: number, path: string, size: number): Skeleton {
  const input = new Window(fd, path, size)
  const output = new Output()
  const slices: FileBytes[] = []

  const message = (kind: Kind, end: number, depth: number): void => {
    if (depth > 200) throw corrupt(path, input.pos, 'messages are nested too deeply')
    while (input.pos < end) {
      const tag = input.varint(end)
      const field = Math.floor(tag / 8)
      const wire = tag % 8
      if (field === 0) throw corrupt(path, input.pos, 'field number 0')
      if (wire === 2) {
        const length = input.varint(end)
        const start = input.pos
        if (start + length > end) {
          if (kind === 'model' && start + length > size) throw truncated(path, start + length - size)
          throw corrupt(path, start, `a field of ${length} bytes runs past the end of its message`)
        }
        const child = CHILDREN[kind][field]
        if (child && length >= LEAVE_IN_FILE) {
          output.varint(tag)
          const open = output.open()
          message(child, start + length, depth + 1)
          output.close(open)
        } else if (kind === 'tensor' && field === RAW_DATA && length >= LEAVE_IN_FILE) {
          output.varint(SLICE_FIELD * 8)
          output.varint(slices.push(new FileBytes(path, start, length)) - 1)
          input.pos += length
        } else {
          output.varint(tag)
          output.varint(length)
          copy(length)
        }
      } else if (wire === 0) {
        output.varint(tag)
        do {
          if (input.pos >= end) throw corrupt(path, input.pos, 'a number runs past the end of its message')
          output.copy(input.peek(1))
        } while (input.peek(1)[0]! >= 0x80 && ++input.pos)
        input.pos++
      } else if (wire === 1 || wire === 5) {
        output.varint(tag)
        if (input.pos + (wire === 1 ? 8 : 4) > end)
          throw corrupt(path, input.pos, 'a number runs past the end of its message')
        copy(wire === 1 ? 8 : 4)
      } else throw corrupt(path, input.pos, `wire type ${wire}`)
    }
  }

  const copy = (length: number): void => {
    for (let rest = length; rest > 0; ) {
      const n = Math.min(rest, 1 << 18)
      output.copy(input.peek(n))
      input.pos += n
      rest -= n
    }
  }

  message('model', size, 0)
  return { bytes: output.buffer.subarray(0, output.pos), slices }
}
