import type { Node } from '../../../graph/node.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import { constantOf, type Marks } from './marks.ts'
import type { StaticOptions } from './settings.ts'

/** What the marking of a node may look at. */
export interface MarkContext {
  marks: Marks
  options: StaticOptions
  opset: number
}

/** Marks what a node wants quantized; false: the node stays float. */
type Handler = (node: Node, context: MarkContext) => boolean

/** `product`: pays by itself; `between`: only next to operators that are quantized; `precise`: has no integer kernel. */
export interface Operator {
  kind: 'product' | 'between' | 'precise'
  mark: Handler
}

/** Inputs, outputs, a weight with one scale per output channel, and a bias in the product of both scales. */
function product(weightAxis: (node: Node) => number, beta: (node: Node) => number = () => 1): Handler {
  return (node, { marks, options }) => {
    const [x, weight] = [constantOf(node.input(0)), constantOf(node.input(1))]
    if (x && weight) return false
    const own = options.channelAxis?.[node.opType]
    const axis = own === undefined ? weightAxis(node) : Number(own)
    if (node.opType === 'MatMul' && options.matmulConstOnly && !weight) return false
    for (const index of [0, 1]) {
      const constant = index === 0 ? x : weight
      if (constant?.transposed) return false
      if (!constant) {
        if (!marks.isCandidate(node.input(index))) return false
      } else if (index === 1 && !canHaveAxis(constant.tensor.dims, axis)) {
        if (own === undefined) return false
        throw new OnnxError('OPTION_INVALID', `channelAxis: weights of ${node.opType} have no axis ${own}`, {
          place: { node: node.label },
          hint: `This one is [${constant.tensor.dims.join(', ')}].`,
        })
      }
    }
    if (x) marks.constant(node, 0, { kind: 'operand', weight: x })
    else marks.activation(node.input(0))
    if (!weight) marks.activation(node.input(1))
    else marks.constant(node, 1, { kind: 'weight', weight, axis: options.perChannel ? axis : undefined, product: true })
    const bias = constantOf(node.input(2))
    if (bias && weight && !x) marks.constant(node, 2, { kind: 'bias', weight: bias, beta: beta(node) })
    // Their kernels give float results as well: quantized only if somebody wants that.
    const givesFloat = node.opType === 'MatMul' || node.opType === 'Gemm'
    if (!givesFloat || !options.sparePairs || options.allOps || isBeforeReluInBody(node))
      markOutputs(node, marks, options)
    return true
  }
}

/** In bodies ONNX Runtime 1.30 gives a float product and what it makes of the Relu after it the same name, and refuses that. */
function isBeforeReluInBody(node: Node): boolean {
  return (
    node.graph.owner !== undefined && node.output().users.some(({ opType }) => opType === 'Relu' || opType === 'Clip')
  )
}

function canHaveAxis(dims: readonly number[], axis: number): boolean {
  return dims.length === 0 || (axis >= -dims.length && axis < dims.length)
}

function markOutputs(node: Node, marks: Marks, options: StaticOptions): void {
  if (options.floatOutputs?.includes(node.opType)) return
  for (const value of node.outputs) if (value && !marks.isWide(value)) marks.activation(value)
}

/** Everything float that the node reads and writes. */
const everything: Handler = (node, { marks, options }) => {
  let found = false
  for (let i = 0; i < node.inputCount; i++) found = marks.input(node, i) || found
  if (!found) return false
  markOutputs(node, marks, options)
  return true
}

/** Moves data: the outputs take the parameters of the input, which must be quantized anyway. */
const moves: Handler = (node, { marks, options }) => {
  const input = node.input(0)
  if (!marks.isCandidate(input)) return false
  if (!marks.has(input)) {
    if (!options.forceInputs) return false
    marks.activation(input)
  }
  if (options.floatOutputs?.includes(node.opType)) return true
  for (const value of node.outputs) if (value?.isFloat && value.dtype === input.dtype) marks.activation(value, input)
  return true
}

/** As `moves`; the input is quantized for its sake where it is a constant or the option says so. */
const gather: Handler = (node, context) => {
  const { marks, options, opset } = context
  const table = constantOf(node.input(0))
  if (!table) return moves(node, context)
  if (options.sparePairs) {
    // Codes are gathered and dequantized after that, so a scale for each column costs nothing.
    const axis = options.perChannel && opset >= 13 ? lastAxis(node, table.tensor.dims.length) : undefined
    return marks.constant(node, 0, { kind: 'weight', weight: table, axis, product: false })
  }
  if (!marks.constant(node, 0, { kind: 'operand', weight: table })) return false
  if (!options.floatOutputs?.includes(node.opType)) marks.activation(node.output())
  return true
}

/** The last axis, unless it is the one that is gathered from, or the only one. */
function lastAxis(node: Node, rank: number): number | undefined {
  const axis = node.int('axis', 0)
  return rank < 2 || axis === -1 || axis === rank - 1 ? undefined : rank - 1
}

const since =
  (opset: number, handler: Handler): Handler =>
  (node, context) =>
    context.opset >= opset && handler(node, context)

/** A Relu or Clip goes along with its input. */
const activation: Handler = (node, { marks }) => {
  if (!marks.has(node.input(0))) return false
  return marks.activation(node.output())
}

const pad: Handler = (node, { marks }) => {
  const input = node.input(0)
  if (!marks.isCandidate(input)) return false
  marks.activation(input)
  const fill = node.input(2)
  const isZero = !fill || fill.constant?.scalar() === 0
  const shares = node.string('mode', 'constant') !== 'constant' || isZero
  if (!shares) marks.input(node, 2)
  marks.activation(node.output(), shares ? input : undefined)
  return true
}

const where: Handler = (node, { marks, options }) => {
  const branches = [node.input(1), node.input(2)]
  if (!options.forceInputs && !branches.every((value) => marks.has(value) || constantOf(value))) return false
  if (branches.every((value) => constantOf(value))) return false
  for (const index of [1, 2]) marks.input(node, index)
  return marks.activation(node.output())
}

/** Input and output; the scale as a weight, the bias in int32. */
const normalization: Handler = (node, { marks, options }) => {
  if (!marks.activation(node.input(0))) return false
  const scale = constantOf(node.input(1))
  if (scale) marks.constant(node, 1, { kind: 'weight', weight: scale, axis: undefined, product: false })
  else marks.activation(node.input(1))
  const bias = constantOf(node.input(2))
  if (bias && scale && options.quantizeBias) marks.constant(node, 2, { kind: 'bias', weight: bias, beta: 1 })
  markOutputs(node, marks, options)
  return true
}

/** The operators that static quantization knows, in the standard domain. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  Conv: { kind: 'product', mark: product(() => 0) },
  ConvTranspose: { kind: 'product', mark: product(() => 1) },
  Gemm: {
    kind: 'product',
    mark: product(
      (node) => (node.int('transB', 0) ? 0 : 1),
      (node) => node.float('beta', 1),
    ),
  },
  MatMul: { kind: 'product', mark: product(() => -1) },
  Gather: { kind: 'product', mark: gather },
  GatherElements: { kind: 'between', mark: moves },
  Split: { kind: 'between', mark: moves },
  Reshape: { kind: 'between', mark: moves },
  Transpose: { kind: 'between', mark: moves },
  Squeeze: { kind: 'between', mark: moves },
  Unsqueeze: { kind: 'between', mark: moves },
  Flatten: { kind: 'between', mark: moves },
  AveragePool: { kind: 'between', mark: moves },
  Slice: { kind: 'between', mark: moves },
  TopK: { kind: 'between', mark: moves },
  Resize: { kind: 'between', mark: since(11, moves) },
  MaxPool: { kind: 'between', mark: since(12, moves) },
  Relu: { kind: 'between', mark: activation },
  Clip: { kind: 'between', mark: activation },
  Pad: { kind: 'between', mark: pad },
  Where: { kind: 'between', mark: where },
  Add: { kind: 'between', mark: everything },
  Mul: { kind: 'between', mark: everything },
  Concat: { kind: 'between', mark: everything },
  GlobalAveragePool: { kind: 'between', mark: everything },
  LeakyRelu: { kind: 'between', mark: everything },
  Sigmoid: { kind: 'between', mark: everything },
  Softmax: { kind: 'between', mark: everything },
  ArgMax: { kind: 'between', mark: everything },
  InstanceNormalization: { kind: 'precise', mark: normalization },
  LayerNormalization: { kind: 'precise', mark: normalization },
  BatchNormalization: { kind: 'precise', mark: normalization },
  CumSum: { kind: 'precise', mark: everything },
}

const COMPUTING = `Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Div Einsum Elu Erf Exp Expand Floor Gelu GlobalLpPool GridSample
  HardSigmoid HardSwish Hardmax Log LogSoftmax LpNormalization LpPool LRN Max Mean MeanVarianceNormalization Min Mish Mod Neg Pow PRelu
  Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
  RMSNormalization Round ScatterElements ScatterND Selu Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh ThresholdedRelu`

const MOVING = 'DepthToSpace GatherND GlobalMaxPool Identity SpaceToDepth Tile Trilu'

/** Operators that are quantized if the user names them, or asks for all, and only then. */
const OPTIONAL: Readonly<Record<string, Operator>> = Object.fromEntries([
  ...COMPUTING.split(/\s+/).map((op) => [op, { kind: 'between', mark: everything }] as const),
  ...MOVING.split(' ').map((op) => [op, { kind: 'between', mark: moves }] as const),
])

/** Their types. */
export const OPTIONAL_OPERATORS: readonly string[] = Object.keys(OPTIONAL)

/** How a node is quantized; undefined for operators that never are. */
export function operatorOf(node: Node): Operator | undefined {
  if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined
  const { opType } = node
  if (Object.hasOwn(OPERATORS, opType)) return OPERATORS[opType]
  return Object.hasOwn(OPTIONAL, opType) ? OPTIONAL[opType] : undefined
}
