/**
 * Writes ONNX models of a few nodes byte by byte, so that the lowest layers can be tested against ONNX Runtime without the
 * project's own encoder.
 */

/** A node; integer attributes only. */
export interface TinyNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly domain?: string
  readonly attributes?: Readonly<Record<string, number>>
}

/** A graph input or output: TensorProto.DataType code, and dims (a string is a symbolic one). */
export interface TinyValue {
  readonly type: number
  readonly dims: readonly (number | string)[]
}

function varint(value: number): number[] {
  const out: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest > 127n) {
    out.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  return [...out, Number(rest)]
}

const int = (field: number, value: number) => [...varint(field << 3), ...varint(value)]
const message = (field: number, body: readonly number[]) => [
  ...varint((field << 3) | 2),
  ...varint(body.length),
  ...body,
]
const text = (field: number, value: string) => message(field, [...new TextEncoder().encode(value)])

function valueInfo(name: string, { type, dims }: TinyValue): number[] {
  const shape = dims.flatMap((dim) => message(1, typeof dim === 'number' ? int(1, dim) : text(2, dim)))
  return [...text(1, name), ...message(2, message(1, [...int(1, type), ...message(2, shape)]))]
}

/** A model's bytes. Opset 21, IR version 10, `com.microsoft` version 1. */
export function tinyModel(
  nodes: readonly TinyNode[],
  inputs: Readonly<Record<string, TinyValue>>,
  outputs: Readonly<Record<string, TinyValue>>,
): Uint8Array {
  const graph = [
    ...nodes.flatMap((node) =>
      message(1, [
        ...node.inputs.flatMap((name) => text(1, name)),
        ...node.outputs.flatMap((name) => text(2, name)),
        ...text(4, node.op),
        ...Object.entries(node.attributes ?? {}).flatMap(([name, value]) =>
          message(5, [...text(1, name), ...int(3, value), ...int(20, 2)]),
        ),
        ...(node.domain ? text(7, node.domain) : []),
      ]),
    ),
    ...text(2, 'graph'),
    ...Object.entries(inputs).flatMap(([name, value]) => message(11, valueInfo(name, value))),
    ...Object.entries(outputs).flatMap(([name, value]) => message(12, valueInfo(name, value))),
  ]
  return Uint8Array.from([
    ...int(1, 10),
    ...message(7, graph),
    ...message(8, [...text(1, ''), ...int(2, 21)]),
    ...message(8, [...text(1, 'com.microsoft'), ...int(2, 1)]),
  ])
}
