import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { propagateShapes } from '../../graph/shapes/index.ts'
import { elementsIn } from '../../graph/tensor.ts'
import type { Dim, ValueType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { byteLengthOf, type DType, dtypeOf } from '../../onnx/dtypes.ts'
import type { OrtService } from '../../ort/service.ts'
import { isStandard } from './determinism.ts'

/** Operators whose first output has the element type of their first input. */
const SAME_TYPE = new Set(
  `Abs Acos Acosh Add And Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift Ceil Clip Concat Conv Cos Cosh CumSum
  DepthToSpace Div Dropout Elu Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
  HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Log LogSoftmax MatMul Max MaxPool Mean Min
  Mish Mod Mul Neg Not Or PRelu Pad Pow Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Resize
  Round ScatterElements ScatterND Selu Sigmoid Sign Sin Sinh Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze
  Sub Sum Tan Tanh Tile Transpose Trilu Unsqueeze Xor`.split(/\s+/),
)
const BOOLEAN = new Set(['Equal', 'Greater', 'GreaterOrEqual', 'IsInf', 'IsNaN', 'Less', 'LessOrEqual'])
const INT64 = new Set(['ArgMax', 'ArgMin', 'NonZero', 'Shape', 'Size'])

/**
 * What is certain about values. What a file states of a value between inputs and outputs may be wrong (exporters write down the
 * sizes of their example), so nothing is taken from there: sure are constants, the inputs of the model (runtimes check them), and
 * what follows from those. Names of dimensions prove nothing: two inputs with a dimension `batch` may differ in it.
 *
 * ONNX Runtime's inference costs a session. So it is asked only if a rule wanted to know something that has no answer yet:
 * then `isWanted` is true.
 */
export class Facts {
  isWanted = false
  readonly #types: ReadonlyMap<Value, ValueType> | undefined
  readonly #isTentative: boolean

  /** @param isTentative the types are guesses: names of dimensions are answers then */
  constructor(types?: ReadonlyMap<Value, ValueType>, isTentative = false) {
    this.#types = types
    this.#isTentative = isTentative
  }

  /** True if ONNX Runtime was asked. */
  get isComplete(): boolean {
    return this.#types !== undefined
  }

  /** Version of the standard operators in a graph. */
  opset(graph: Graph): number {
    let top = graph
    while (top.owner) top = top.owner.graph
    const { model } = graph
    const { opsets } = model.functions.find((fn) => fn.graph === top) ?? model
    return opsets.get('') ?? opsets.get('ai.onnx') ?? 1
  }

  /** Element type, or undefined if it is not certain. */
  dtype(value: Value): DType | undefined {
    const known = this.#dtype(value, 0)
    if (!known) this.isWanted = true
    return known
  }

  #dtype(value: Value, depth: number): DType | undefined {
    const known = this.#known(value)
    if (known?.kind === 'tensor' && known.dtype) return known.dtype
    const { producer } = value
    if (!producer || value.outputIndex > 0 || !isStandard(producer) || depth > 100) return undefined
    const { opType } = producer
    if (opType === 'Constant') return value.constant?.dtype
    if (opType === 'Cast') return castTarget(producer)
    if (BOOLEAN.has(opType)) return 'bool'
    if (INT64.has(opType)) return 'int64'
    const first = producer.input(0)
    return first && SAME_TYPE.has(opType) ? this.#dtype(first, depth + 1) : undefined
  }

  /** Shape, if the rank is certain. Dimensions that are not fixed come as null. */
  shape(value: Value): readonly (number | null)[] | undefined {
    const constant = value.constant
    if (constant) return constant.dims
    const known = this.#known(value)
    const shape = known?.kind === 'tensor' ? known.shape : undefined
    const isOpen = !shape?.every((dim) => typeof dim === 'number' || (this.#isTentative && dim !== null))
    if (isOpen && !isModelInput(value)) this.isWanted = true
    return shape?.map(fixed)
  }

  rank(value: Value): number | undefined {
    return this.shape(value)?.length
  }

  /** Bytes of a tensor whose type and shape are certain. */
  byteLength(value: Value): number | undefined {
    const shape = this.shape(value)
    const dtype = this.dtype(value)
    if (!shape || !dtype || dtype === 'string' || shape.includes(null)) return undefined
    return byteLengthOf(dtype, elementsIn(shape as number[]))
  }

  #known(value: Value): ValueType | undefined {
    if (value.tensor && value.constant) return { kind: 'tensor', dtype: value.tensor.dtype, shape: value.tensor.dims }
    return this.#types?.get(value) ?? (isModelInput(value) ? inputType(value.type) : undefined)
  }
}

function fixed(dim: Dim): number | null {
  return typeof dim === 'number' && dim >= 0 ? dim : null
}

/** The type of a model input as stated. Some exporters write 0 for a dimension that they don't know. */
function inputType(type: ValueType | undefined): ValueType | undefined {
  if (type?.kind !== 'tensor' || !type.shape) return type
  return { ...type, shape: type.shape.map((dim) => (typeof dim === 'number' && dim <= 0 ? null : dim)) }
}

/** Dimensions of two inputs that have one name may differ: each gets a name of its own. */
function withOwnNames({ name, type }: Value): ValueType | undefined {
  if (type?.kind !== 'tensor' || !type.shape) return type
  return { ...type, shape: type.shape.map((dim, i) => (typeof dim === 'number' ? dim : `${name}[${i}]`)) }
}

function isModelInput(value: Value): boolean {
  return value.isInput && value.graph === value.graph.model.graph
}

/** Element type that a Cast makes, by its attribute. */
export function castTarget(node: Node): DType | undefined {
  const to = node.attributes.get('to')
  return to?.kind === 'int' ? dtypeOf(Number(to.value)) : undefined
}

/**
 * Infers types with ONNX Runtime from the model's inputs and constants alone, and follows sizes through arithmetic on shapes; leaves
 * the model as it was.
 */
export async function inferFacts(model: Model, ort: OrtService): Promise<Facts> {
  const saved = forgetTypes(model, () => undefined)
  for (const input of model.graph.inputs) input.type = withOwnNames(input)
  try {
    await ort.inferTypes(model)
    propagateShapes(model, { certain: true })
  } finally {
    saved.restore()
  }
  return new Facts(saved.found)
}

/**
 * What probably holds, in no time: shapes by the names of dimensions. Enough to see that there is nothing to gain from asking
 * ONNX Runtime.
 */
export function guessFacts(model: Model): Facts {
  const saved = forgetTypes(model, (value) => {
    const data = value.constant
    return { kind: 'tensor', dtype: data?.dtype, ...(data ? { shape: data.dims } : {}) }
  })
  try {
    propagateShapes(model)
  } finally {
    saved.restore()
  }
  return new Facts(saved.found, true)
}

/** Makes the model forget what it states of values that it computes, until `restore`, which puts what was found meanwhile into `found`. */
function forgetTypes(
  model: Model,
  blank: (value: Value) => ValueType | undefined,
): { found: ReadonlyMap<Value, ValueType>; restore: () => void } {
  const stated: { value: Value; type: ValueType | undefined; typeProto: unknown }[] = []
  const forget = (value: Value, type: ValueType | undefined): void => {
    stated.push({ value, type: value.type, typeProto: value.extra?.typeProto })
    value.type = type
  }
  for (const value of model.graph.inputs) forget(value, inputType(value.type))
  for (const graph of model.graph.allGraphs()) {
    // A loop's state may change its shape from round to round, whatever the body says of its inputs.
    if (graph !== model.graph)
      for (const value of graph.inputs) {
        const { type } = value
        forget(value, type?.kind === 'tensor' ? { kind: 'tensor', dtype: type.dtype } : type)
      }
    for (const node of graph.nodes()) for (const value of node.outputs) if (value) forget(value, blank(value))
  }
  const found = new Map<Value, ValueType>()
  const restore = (): void => {
    for (const { value, type, typeProto } of stated) {
      if (value.type) found.set(value, value.type)
      value.type = type
      if (typeProto) value.extra!.typeProto = typeProto as never
    }
  }
  return { found, restore }
}
