import { type Attributes, int } from '../../../graph/attributes.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { CODE_RANGES, type QuantizedType, roundHalfEven } from '../../../kernels/index.ts'
import type { CodeType } from './float8.ts'
import { CONTRIB_DOMAIN } from './versions.ts'

/** The quantized form of a tensor. */
export interface Quantized {
  data: Value
  scale: Value
  zeroPoint: Value
  type: CodeType
}

type Parameters = { scale: Value; zeroPoint: Value }

/** The integer form of an operator. */
export interface Integer {
  /** Default: the same operator, on codes. */
  op?: string
  domain?: string
  since?: number
  /** Inputs that must be quantized. */
  inputs(node: Node): number[]
  /** The input that is an int32 bias. */
  bias?: number
  /** True if a constant may have a scale per channel. */
  perChannel?: boolean
  /** The output means the same by its codes as the first input. */
  shares?: boolean
  /** `indices`: the output is no quantized tensor. */
  results?: 'indices'
  /** True if the output may be float. */
  floatResult?: boolean
  attributes?(node: Node, opset: number): Attributes
  arguments(
    node: Node,
    inputs: ReadonlyMap<number, Quantized>,
    output: Parameters | undefined,
    bias: Value | null,
  ): (Value | null)[]
  /** Another reason to stay float. */
  obstacle?(node: Node): string | undefined
}

const three = ({ data, scale, zeroPoint }: Quantized): Value[] => [data, scale, zeroPoint]
const two = (parameters: Parameters | undefined): Value[] =>
  parameters ? [parameters.scale, parameters.zeroPoint] : []
const all = (node: Node): number[] => node.inputs.map((_, i) => i)
const first = (): number[] => [0]
const pair = (): number[] => [0, 1]

/** All float inputs, then the output's parameters. */
const elementwise = (op: string, inputs: (node: Node) => number[]): Integer => ({
  op,
  domain: CONTRIB_DOMAIN,
  inputs,
  arguments: (node, quantized, output) => [...inputs(node).flatMap((i) => three(quantized.get(i)!)), ...two(output)],
})

/** The same operator moves codes instead of floats; other inputs stay as they are. */
const moves = (since = 10): Integer => ({
  since,
  inputs: first,
  shares: true,
  arguments: (node, quantized) => [quantized.get(0)!.data, ...node.inputs.slice(1)],
})

/** The integer operators, by the float operator's type. */
export const INTEGER_OPERATORS: Readonly<Record<string, Integer>> = {
  Conv: {
    op: 'QLinearConv',
    inputs: pair,
    bias: 2,
    perChannel: true,
    arguments: (_, quantized, output, bias) => [
      ...three(quantized.get(0)!),
      ...three(quantized.get(1)!),
      ...two(output),
      bias,
    ],
  },
  MatMul: {
    op: 'QLinearMatMul',
    inputs: pair,
    perChannel: true,
    arguments: (_, quantized, output) => [...three(quantized.get(0)!), ...three(quantized.get(1)!), ...two(output)],
  },
  Gemm: {
    op: 'QGemm',
    domain: CONTRIB_DOMAIN,
    inputs: pair,
    bias: 2,
    perChannel: true,
    floatResult: true,
    attributes: () => ({ beta: undefined }),
    arguments: (_, quantized, output, bias) => [
      ...three(quantized.get(0)!),
      ...three(quantized.get(1)!),
      bias,
      ...two(output),
    ],
  },
  Add: elementwise('QLinearAdd', pair),
  Mul: elementwise('QLinearMul', pair),
  LeakyRelu: elementwise('QLinearLeakyRelu', first),
  Sigmoid: elementwise('QLinearSigmoid', first),
  Softmax: {
    ...elementwise('QLinearSoftmax', first),
    attributes: (_, opset) => ({ opset: int(opset) }),
  },
  AveragePool: elementwise('QLinearAveragePool', first),
  GlobalAveragePool: {
    ...elementwise('QLinearGlobalAveragePool', first),
    attributes: () => ({ channels_last: int(0) }),
  },
  Concat: {
    op: 'QLinearConcat',
    domain: CONTRIB_DOMAIN,
    inputs: all,
    arguments: (node, quantized, output) => [...two(output), ...all(node).flatMap((i) => three(quantized.get(i)!))],
  },
  Where: {
    op: 'QLinearWhere',
    domain: CONTRIB_DOMAIN,
    inputs: () => [1, 2],
    arguments: (node, quantized, output) => [
      node.input(0)!,
      ...three(quantized.get(1)!),
      ...three(quantized.get(2)!),
      ...two(output),
    ],
  },
  ArgMax: {
    since: 12,
    inputs: first,
    shares: true,
    results: 'indices',
    arguments: (_, quantized) => [quantized.get(0)!.data],
  },
  MaxPool: { ...moves(12), obstacle: (node) => (node.outputs[1] ? 'its indices are used' : undefined) },
  Reshape: moves(),
  Squeeze: moves(),
  Unsqueeze: moves(),
  Flatten: moves(),
  Transpose: moves(),
  Slice: moves(),
  Split: moves(),
  Resize: moves(11),
  GatherElements: moves(11),
  Gather: moves(),
  Pad: {
    since: 11,
    inputs: first,
    shares: true,
    arguments: (node, quantized) => {
      const input = quantized.get(0)!
      const pads = [node.input(1)!, fillOf(node, input), node.input(3) ?? null]
      return [input.data, ...pads]
    },
  },
}

/** The code that a Pad fills with: that of zero unless it has a value. */
function fillOf(node: Node, { scale, zeroPoint, type }: Quantized): Value | null {
  if (node.string('mode', 'constant') !== 'constant') return null
  const fill = node.input(2)?.constant?.scalar() ?? 0
  const [first, last] = CODE_RANGES[type as QuantizedType].full
  const code = roundHalfEven(Math.fround(fill / scale.tensor!.scalar()!)) + zeroPoint.tensor!.scalar()!
  const tensor = Tensor.from(type, [], [Math.max(first, Math.min(last, code))])
  return node.graph.addInitializer(`${node.output().name}_fill`, tensor)
}

/** A product with a float result. */
export const MATMUL_TO_FLOAT: Integer = {
  op: 'MatMulIntegerToFloat',
  domain: CONTRIB_DOMAIN,
  inputs: pair,
  perChannel: true,
  floatResult: true,
  arguments: (_, quantized) => {
    const [a, b] = [quantized.get(0)!, quantized.get(1)!]
    return [a.data, b.data, a.scale, b.scale, a.zeroPoint, b.zeroPoint]
  },
}
