// A model that hands on its input, byte by byte: opset 18, one Identity from `x` to `y`, both float32.

const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)])
const int = (field, value) => [...varint(field << 3), ...varint(value)]
const bytes = (field, body) => [...varint((field << 3) | 2), ...varint(body.length), ...body]
const text = (field, value) => bytes(field, [...Buffer.from(value)])

/** @param {number[]} dims */
export function identityModel(dims) {
  const shape = bytes(
    2,
    dims.flatMap((dim) => bytes(1, int(1, dim))),
  )
  const value = (name) => [...text(1, name), ...bytes(2, bytes(1, [...int(1, 1), ...shape]))]
  const graph = [
    ...bytes(1, [...text(1, 'x'), ...text(2, 'y'), ...text(4, 'Identity')]),
    ...text(2, 'graph'),
    ...bytes(11, value('x')),
    ...bytes(12, value('y')),
  ]
  return Uint8Array.from([...int(1, 8), ...bytes(7, graph), ...bytes(8, [...text(1, ''), ...int(2, 18)])])
}
