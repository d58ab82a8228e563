import type { AttributeValue } from '../../graph/attributes.ts'
import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'
import { FileBytes } from '../../onnx/bytes.ts'

/** Tensors in attributes up to this size are compared as a whole. */
const COMPARED_WHOLE = 1 << 16
/** Bytes of each sample of a large tensor. */
const SAMPLE = 64

/** A text that differs if the tensors differ in type, shape, or in some samples of their bytes. Equal texts prove nothing. */
export function sampleOf(tensor: Tensor): string {
  const head = `${tensor.code}:${tensor.dims.join('x')}:`
  if (tensor.dtype === 'string') return head + JSON.stringify(tensor.toStrings())
  const { source } = tensor
  const { length } = source
  const at = length <= 3 * SAMPLE ? [0] : [0, (length - SAMPLE) >> 1, length - SAMPLE]
  const size = length <= 3 * SAMPLE ? length : SAMPLE
  if (source instanceof Uint8Array) return head + at.map((start) => hex(source.subarray(start, start + size))).join(',')
  const { file, fill } = source
  if (file) return head + at.map((start) => hex(new FileBytes(file.path, file.offset + start, size).read())).join(',')
  // Parts begin at multiples of their size.
  return fill ? head + at.map((start) => hex(filled(fill, start - (start % SAMPLE), size))).join(',') : head
}

function filled(fill: (target: Uint8Array, offset: number) => void, offset: number, size: number): Uint8Array {
  const target = new Uint8Array(size)
  fill(target, offset)
  return target
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** Element type, shape and every byte are the same. (So 0 and -0 differ, and NaNs with other bits.) */
export function isSameTensor(a: Tensor, b: Tensor): boolean {
  if (a.code !== b.code || a.dims.length !== b.dims.length || a.dims.some((dim, i) => dim !== b.dims[i])) return false
  if (a.dtype === 'string') return JSON.stringify(a.toStrings()) === JSON.stringify(b.toStrings())
  return a.byteLength === b.byteLength && Buffer.compare(a.bytes(), b.bytes()) === 0
}

/** A text that is equal for equal attributes of a node only; undefined if they can't be compared. */
export function attributesKey(node: Node): string | undefined {
  const parts: string[] = []
  for (const [name, attribute] of node.attributes) {
    const text = attributeKey(attribute)
    if (text === undefined) return undefined
    parts.push(`${JSON.stringify(name)}=${text}`)
  }
  return parts.sort().join(';')
}

function attributeKey({ kind, value }: AttributeValue): string | undefined {
  const number = (item: number | bigint): string => (Object.is(item, -0) ? '-0' : String(item))
  const text = (item: string | Uint8Array): string =>
    typeof item === 'string' ? JSON.stringify(item) : `bytes:${hex(item)}`
  switch (kind) {
    case 'int':
    case 'float':
      return `${kind}:${number(value)}`
    case 'ints':
    case 'floats':
      return `${kind}:${value.map(number).join(',')}`
    case 'string':
      return text(value)
    case 'strings':
      return `[${value.map(text).join(',')}]`
    case 'reference':
      return `@${value}`
    case 'tensor':
      if (value.byteLength > COMPARED_WHOLE || value.dtype === 'string') return undefined
      return `${value.code}:${value.dims.join('x')}:${hex(value.bytes())}`
    default:
      return undefined
  }
}
