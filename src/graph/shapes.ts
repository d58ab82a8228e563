import { dtypeOf } from '../onnx/dtypes.ts'
import { OnnxError } from '../onnx/errors.ts'
import { addDims, broadcast, divideDims, floorDim, multiplyDims, sliceLength } from './dims.ts'
import type { Graph } from './graph.ts'
import type { Model } from './model.ts'
import type { Node } from './node.ts'
import type { Dim } from './types.ts'
import type { Value } from './value.ts'

/** Integer tensors with more elements than this are no shapes. */
const CONTENT_LIMIT = 64

/** Operators whose output has the shape of the first input. */
const UNARY = new Set(
  `Abs BatchNormalization Cast Ceil Clip Cos CumSum Dropout Elu Erf Exp Floor Gelu HardSigmoid Hardmax Identity
   InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Log LogSoftmax Neg Not RMSNormalization Reciprocal Relu Round
   ScatterElements ScatterND Sigmoid Sign SimplifiedLayerNormalization Sin Softmax Softplus Sqrt Tanh Trilu BiasGelu FastGelu
   QuickGelu RotaryEmbedding SkipLayerNormalization SkipSimplifiedLayerNormalization`.split(/\s+/),
)
const BINARY = new Set(
  `Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Or Pow Sub Sum Where Xor`.split(/\s+/),
)

/** What `propagateShapes` may take for granted. */
export interface PropagateOptions {
  /**
   * For the time of a rewrite: give sizes that stay unknown a name of their own (`?1`), so that what is computed from them can be
   * followed, and outputs their sizes too. `forgetNames` takes these names away again; what outputs declare is for the caller to
   * put back.
   */
  named?: boolean
  /** Take nothing for granted: neither that slices fit nor that dimensions of two names differ. */
  certain?: boolean
}

/**
 * Finds dimensions that ONNX Runtime's inference leaves open, by following the names of dynamic dimensions through the arithmetic
 * on shapes (Shape, Gather, Concat, Reshape, ...): an export's `Reshape(x, [Shape(x)[0], Shape(x)[1], 4, 8])` is `[batch, sequence,
 * 4, 8]`. Fills `Value.type` of values inside graphs; inputs and outputs, which are the model's signature, stay as they are.
 * Run it after `inferTypes`.
 */
export function propagateShapes(model: Model, { named = false, certain = false }: PropagateOptions = {}): void {
  const known: Known = {
    shapes: new Map(),
    contents: new Map(),
    names: named ? { count: 0, derived: new Map() } : undefined,
    certain,
  }
  for (const graph of model.allGraphs()) visit(graph, known)
}

/** Makes sizes unknown again that `propagateShapes` gave a name. */
export function forgetNames(model: Model): void {
  const isNamed = (dim: Dim): boolean => typeof dim === 'string' && dim.includes('?')
  for (const node of model.allNodes())
    for (const value of node.outputs)
      if (value?.type?.kind === 'tensor' && value.shape?.some(isNamed))
        value.type = { ...value.type, shape: value.shape.map((dim) => (isNamed(dim) ? null : dim)) }
}

interface Known {
  /** Shapes of values whose type must not be touched. */
  shapes: Map<Value, readonly Dim[]>
  /** Elements of small integer tensors. */
  contents: Map<Value, readonly Dim[]>
  /** How many names were given to unknown sizes, if they are to get some, and which to what is computed from others. */
  names: { count: number; derived: Map<string, string> } | undefined
  certain: boolean
}

function visit(graph: Graph, known: Known): void {
  for (const input of graph.inputs)
    if (input.shape)
      known.shapes.set(
        input,
        input.shape.map((dim, i) => dim ?? `${input.name}[${i}]`),
      )
  for (const node of graph.nodes()) {
    try {
      learn(node, known)
    } catch (error) {
      // An attribute of the wrong kind: nothing follows from such a node.
      if (!(error instanceof OnnxError)) throw error
    }
    if (known.names) for (const value of node.outputs) if (value) nameSizes(value, known.names)
  }
}

function learn(node: Node, known: Known): void {
  const reader = new Reader(node, known)
  const output = node.outputs[0]
  if (!output || node.domain === 'ai.onnx.ml') return
  const contents = reader.contents()
  if (contents && contents.length <= CONTENT_LIMIT) known.contents.set(output, contents)
  const shapes = node.opType === 'Split' ? reader.splitShapes() : [reader.shape()]
  for (const [i, shape] of shapes.entries()) {
    const value = node.outputs[i]
    if (value && shape) refine(value, shape, known)
  }
}

/** Puts what was found into a value's type, where that knows less. */
function refine(value: Value, found: readonly Dim[], known: Known): void {
  const before = value.shape
  if (before && before.length !== found.length) return
  const shape = found.map((dim, i) => (typeof before?.[i] === 'number' ? before[i] : (dim ?? before?.[i] ?? null)))
  if (value.isInput || (value.isOutput && !known.names)) known.shapes.set(value, shape)
  else if (value.type?.kind === 'tensor' && shape.some((dim, i) => dim !== before?.[i]))
    value.type = { ...value.type, shape }
}

function nameSizes(value: Value, names: { count: number }): void {
  if (value.type?.kind !== 'tensor' || !value.shape?.includes(null)) return
  value.type = { ...value.type, shape: value.shape.map((dim) => dim ?? `?${++names.count}`) }
}

/** What follows for one node. */
class Reader {
  readonly #node: Node
  readonly #known: Known

  constructor(node: Node, known: Known) {
    this.#node = node
    this.#known = known
  }

  #shapeOf(index: number): readonly Dim[] | undefined {
    const value = this.#node.input(index)
    return value && (this.#known.shapes.get(value) ?? value.shape)
  }

  #contentsOf(index: number): readonly Dim[] | undefined {
    const value = this.#node.input(index)
    if (!value) return undefined
    const known = this.#known.contents.get(value)
    if (known) return known
    const tensor = value.constant
    if (!tensor?.dtype || !/^(u?int|bool|float|double)/.test(tensor.dtype) || tensor.elementCount > CONTENT_LIMIT)
      return undefined
    const numbers = tensor.toNumbers()
    return numbers.every(Number.isInteger) ? numbers : undefined
  }

  #integers(index: number, attribute: string): number[] | undefined {
    const list = this.#node.ints(attribute) ?? this.#contentsOf(index)
    return list?.every((item) => typeof item === 'number') ? [...list] : undefined
  }

  contents(): readonly Dim[] | undefined {
    const node = this.#node
    const first = this.#contentsOf(0)
    switch (node.opType) {
      case 'Shape': {
        const shape = this.#shapeOf(0)
        return shape?.slice(node.int('start', 0), node.int('end') ?? shape.length)
      }
      case 'Cast':
        return /^(u?int|bool|float|double)/.test(dtypeOf(node.int('to', 0)) ?? '') ? first : undefined
      case 'Identity':
      case 'Squeeze':
      case 'Unsqueeze':
      case 'Reshape':
        return first
      case 'Gather': {
        const indices = this.#integers(1, '')
        return first && indices?.map((index) => first.at(index) ?? null)
      }
      case 'Concat': {
        const parts = node.inputs.map((_, i) => this.#contentsOf(i))
        return parts.every((part) => part !== undefined) ? parts.flat() : undefined
      }
      case 'Slice': {
        const [start, end, step] = [this.#integers(1, 'starts'), this.#integers(2, 'ends'), this.#integers(4, 'steps')]
        if (!first || start?.length !== 1 || end?.length !== 1 || (step && step[0] !== 1)) return undefined
        return first.slice(start[0], end[0])
      }
      case 'ConstantOfShape': {
        const count = first?.length === 1 ? first[0] : undefined
        const fill = node.tensor('value')?.scalar() ?? 0
        return typeof count === 'number' && count <= CONTENT_LIMIT
          ? Array.from({ length: count }, () => fill)
          : undefined
      }
      case 'Where': {
        const [yes, no] = [this.#contentsOf(1), this.#contentsOf(2)]
        if (!first || !yes || !no) return undefined
        return zip(
          zip(first, yes, (c, y) => (c === 0 ? 0 : (c && y) || null)),
          zip(first, no, (c, n) => (c === 0 ? n : 0)),
          (a, b) => (a === 0 ? b : a),
        )
      }
      case 'Equal':
        return this.#combine((a, b) =>
          a === null || b === null
            ? null
            : a === b
              ? 1
              : (typeof a === typeof b && !(this.#known.certain && typeof a === 'string')) ||
                  isNegative(a) ||
                  isNegative(b)
                ? 0
                : null,
        )
      case 'Add':
        return this.#combine((a, b) => addDims(a, b))
      case 'Sub':
        return this.#combine((a, b) => addDims(a, b, -1))
      case 'Mul':
        return this.#combine((a, b) => multiplyDims([a, b]))
      case 'Div':
        return this.#combine((a, b) => {
          if (typeof b !== 'number') return divideDims([a], [b])
          if (typeof a === 'number' && b !== 0) return this.#quotient(a, b)
          return node.output().isFloat ? null : floorDim(a, b, (name) => this.#derived(name))
        })
      case 'Min':
        return this.#combine((a, b) => this.#least(a, b))
      case 'Max':
        return this.#combine((a, b) => {
          if (a === null || b === null) return null
          return typeof a === 'number' && typeof b === 'number'
            ? Math.max(a, b)
            : a === b
              ? a
              : this.#picked('Max', a, b)
        })
      case 'Mod':
        return this.#combine((a, b) => {
          if (a === null || typeof b !== 'number' || b <= 0) return null
          return typeof a === 'number' ? a % b : this.#derived(`${a}%${b}`)
        })
      default:
        return undefined
    }
  }

  /** The name of what a computation comes to: the same wherever it is made. */
  #derived(computation: string): Dim {
    const { names } = this.#known
    if (!names) return null
    const known = names.derived.get(computation) ?? `?${++names.count}`
    names.derived.set(computation, known)
    return known
  }

  /** Sizes may pass through floats, for operators that take no integers. */
  #quotient(a: number, b: number): Dim {
    const exact = a / b
    return Number.isInteger(exact) || !this.#node.output().isFloat ? Math.trunc(exact) : null
  }

  /** A named size is taken to fit under a number, as in slices. */
  #least(a: Dim, b: Dim): Dim {
    if (typeof a === 'number' && typeof b === 'number') return Math.min(a, b)
    if (a === b) return a
    const [name, limit] = typeof a === 'string' ? [a, b] : [b, a]
    if (name === null || limit === null || limit === 1) return limit === 1 ? 1 : null
    return typeof limit === 'number' && !this.#known.certain ? name : this.#picked('Min', a!, b!)
  }

  #picked(how: 'Min' | 'Max', a: number | string, b: number | string): Dim {
    return this.#derived(`${how} ${[a, b].sort().join()}`)
  }

  #combine(merge: (a: Dim, b: Dim) => Dim): readonly Dim[] | undefined {
    const [a, b] = [this.#contentsOf(0), this.#contentsOf(1)]
    return a && b && zip(a, b, merge)
  }

  shape(): readonly Dim[] | undefined {
    const node = this.#node
    const first = this.#shapeOf(0)
    const second = this.#shapeOf(1)
    const { opType } = node
    if (UNARY.has(opType)) return first
    if (BINARY.has(opType)) {
      const shapes = node.inputs.map((_, i) => this.#shapeOf(i))
      return shapes.every((shape) => shape !== undefined) ? shapes.reduce(broadcast) : undefined
    }
    switch (opType) {
      case 'MatMul':
        if (!first || !second || first.length < 2 || second.length < 2) return undefined
        return [...broadcast(first.slice(0, -2), second.slice(0, -2)), first.at(-2)!, second.at(-1)!]
      case 'Gemm':
        if (first?.length !== 2 || second?.length !== 2) return undefined
        return [first[node.int('transA') ? 1 : 0]!, second[node.int('transB') ? 0 : 1]!]
      case 'Transpose': {
        const perm = node.ints('perm') ?? first?.map((_, i) => first.length - 1 - i)
        return first && perm?.map((axis) => first[axis] ?? null)
      }
      case 'Reshape':
        return this.#reshaped(first)
      case 'Expand': {
        const wanted = this.#contentsOf(1)
        return first && wanted && broadcast(first, wanted)
      }
      case 'ConstantOfShape':
        return this.#contentsOf(0)
      case 'Range': {
        const [start, limit, delta] = [0, 1, 2].map((i) => this.#contentsOf(i)?.[0])
        if (delta !== 1 || limit === undefined || start === undefined) return undefined
        // One that ends before it begins is empty.
        return start === 0 || !this.#known.certain ? [addDims(limit, start, -1)] : undefined
      }
      case 'Gather': {
        const axis = node.int('axis', 0)
        if (!first || !second) return undefined
        const at = axis < 0 ? axis + first.length : axis
        return [...first.slice(0, at), ...second, ...first.slice(at + 1)]
      }
      case 'GatherND': {
        const taken = second?.at(-1)
        return first && second && typeof taken === 'number'
          ? [...second.slice(0, -1), ...first.slice(taken + node.int('batch_dims', 0))]
          : undefined
      }
      case 'GatherElements':
        return second
      case 'Concat':
        return this.#concatenated()
      case 'Unsqueeze': {
        const axes = this.#integers(1, 'axes')
        return first && axes && inserted(first, axes)
      }
      case 'Squeeze': {
        const axes = this.#integers(1, 'axes')?.map((axis) => axis + (axis < 0 ? (first?.length ?? 0) : 0))
        return axes && first?.filter((_, i) => !axes.includes(i))
      }
      case 'Slice':
        return this.#sliced(first)
      case 'Flatten': {
        const axis = node.int('axis', 1)
        return first && [multiplyDims(first.slice(0, axis)), multiplyDims(first.slice(axis))]
      }
      case 'Tile': {
        const repeats = this.#contentsOf(1)
        return first && repeats && first.map((dim, i) => multiplyDims([dim, repeats[i] ?? null]))
      }
      case 'Pad':
        return first && this.#padded(first)
      case 'AveragePool':
      case 'MaxPool': {
        const kernel = node.ints('kernel_shape')
        if (!first || !kernel) return undefined
        return node.int('ceil_mode')
          ? first.map((dim, i) => (i < 2 ? dim : null))
          : this.#convolved(first, [0, first[1]!, ...kernel])
      }
      case 'Einsum':
        return this.#contracted()
      case 'Conv':
        return first && second && this.#convolved(first, second)
      case 'Resize':
        return first && this.#resized(first)
      default:
        return opType.startsWith('Reduce') ? this.#reduced(first) : undefined
    }
  }

  #reshaped(from: readonly Dim[] | undefined): readonly Dim[] | undefined {
    const wanted = this.#contentsOf(1)
    if (!wanted) return undefined
    const zeros = !this.#node.int('allowzero')
    const shape = wanted.map((dim, i) => (dim === 0 && zeros ? (from?.[i] ?? null) : dim))
    const at = shape.indexOf(-1)
    return at < 0 ? shape : shape.with(at, from ? divideDims(from, shape.toSpliced(at, 1)) : null)
  }

  #concatenated(): readonly Dim[] | undefined {
    const shapes = this.#node.inputs.map((_, i) => this.#shapeOf(i))
    const rank = shapes[0]?.length ?? 0
    if (!shapes.every((shape) => shape?.length === rank)) return undefined
    const axis = this.#node.int('axis', 0)
    const at = axis < 0 ? axis + rank : axis
    return Array.from({ length: rank }, (_, i) => {
      const dims = shapes.map((shape) => shape![i]!)
      if (i !== at) return dims.find((dim) => typeof dim === 'number') ?? dims.find((dim) => dim !== null) ?? null
      return dims.reduce<Dim>((a, b) => addDims(a, b), 0)
    })
  }

  #sliced(from: readonly Dim[] | undefined): readonly Dim[] | undefined {
    if (!from) return undefined
    const starts = this.#node.ints('starts') ?? this.#contentsOf(1)
    const ends = this.#node.ints('ends') ?? this.#contentsOf(2)
    const isGiven = this.#node.input(3) !== undefined || this.#node.attributes.has('axes')
    const axes = isGiven ? this.#integers(3, 'axes') : starts?.map((_, i) => i)
    const steps = this.#node.input(4) ? this.#integers(4, 'steps') : starts?.map(() => 1)
    if (!axes || !steps) return undefined
    const shape = [...from]
    for (const [i, axis] of axes.entries()) {
      const at = axis < 0 ? axis + from.length : axis
      const step = steps[i]!
      const [start, end] = [starts?.[i] ?? null, ends?.[i] ?? null]
      // All of it, backwards.
      if (step === -1 && start === -1 && typeof end === 'number' && end < -(2 ** 31)) continue
      const length = sliceLength(from[at] ?? null, start, end, this.#known.certain)
      shape[at] = step === 1 ? length : step > 1 && typeof length === 'number' ? Math.ceil(length / step) : null
    }
    return shape
  }

  #convolved(from: readonly Dim[], weight: readonly Dim[]): readonly Dim[] {
    const rank = from.length - 2
    const list = (name: string, fill: number): number[] =>
      this.#node.ints(name) ?? Array.from({ length: 2 * rank }, () => fill)
    const [strides, dilations, pads] = [list('strides', 1), list('dilations', 1), list('pads', 0)]
    const isPlain = this.#node.string('auto_pad', 'NOTSET') === 'NOTSET'
    const spatial = from.slice(2).map((size, i): Dim => {
      const kernel = weight[i + 2]
      if (!isPlain || typeof kernel !== 'number') return null
      const steps = addDims(size, pads[i]! + pads[i + rank]! - dilations[i]! * (kernel - 1) - 1)
      return addDims(
        floorDim(steps, strides[i]!, (name) => this.#derived(name)),
        1,
      )
    })
    return [from[0]!, (this.#node.is('Conv') ? weight[0] : weight[1])!, ...spatial]
  }

  /** Whole factors alone; in opset 10 they are the second input. */
  #resized(from: readonly Dim[]): readonly Dim[] | undefined {
    const sizes = this.#contentsOf(3)
    if (sizes?.length === from.length && this.#node.string('keep_aspect_ratio_policy', 'stretch') === 'stretch')
      return this.#node.attributes.has('axes') ? from.map(() => null) : sizes
    const scales = this.#node.input(this.#node.inputCount === 2 ? 1 : 2)?.constant?.toNumbers()
    if (scales?.length !== from.length || this.#node.attributes.has('axes'))
      return this.#node.output().shape ? undefined : from.map(() => null)
    return from.map((dim, i) => (Number.isInteger(scales[i]) ? multiplyDims([dim, scales[i]!]) : null))
  }

  #padded(from: readonly Dim[]): readonly Dim[] {
    const pads = this.#node.ints('pads') ?? this.#contentsOf(1)
    const isWhole = !this.#node.input(3) && pads?.length === 2 * from.length
    return from.map((dim, i) => (isWhole ? addDims(addDims(dim, pads[i]!), pads[i + from.length]!) : null))
  }

  #contracted(): readonly Dim[] | undefined {
    const [inputs, output] = this.#node.string('equation', '').replaceAll(' ', '').split('->')
    if (!inputs || output === undefined || /[^a-zA-Z,]/.test(inputs + output)) return undefined
    const sizes = new Map<string, Dim>()
    for (const [i, labels] of inputs.split(',').entries())
      for (const [axis, label] of [...labels].entries()) {
        const size = this.#shapeOf(i)?.[axis] ?? null
        if (typeof size === 'number' ? size !== 1 : size !== null && !sizes.get(label)) sizes.set(label, size)
        else if (!sizes.has(label)) sizes.set(label, size)
      }
    return [...output].map((label) => sizes.get(label) ?? null)
  }

  /** The shape of each output. */
  splitShapes(): (readonly Dim[] | undefined)[] {
    const from = this.#shapeOf(0)
    const axis = this.#node.int('axis', 0)
    const at = from && axis < 0 ? axis + from.length : axis
    const size = from?.[at]
    const sizes = this.#node.ints('split') ?? this.#contentsOf(1)
    const parts = this.#node.outputs.length
    const isEven = !this.#node.input(1) && !this.#node.attributes.has('split')
    const even = isEven && typeof size === 'number' && size % parts === 0 ? size / parts : null
    return this.#node.outputs.map((_, i) => from?.with(at, sizes?.[i] ?? even))
  }

  #reduced(from: readonly Dim[] | undefined): readonly Dim[] | undefined {
    const isGiven = this.#node.input(1) !== undefined || this.#node.attributes.has('axes')
    if (!isGiven) return undefined
    const axes = this.#integers(1, 'axes')?.map((axis) => axis + (axis < 0 ? (from?.length ?? 0) : 0))
    if (!axes || !from) return undefined
    const keeps = this.#node.int('keepdims', 1) !== 0
    return keeps ? from.map((dim, i) => (axes.includes(i) ? 1 : dim)) : from.filter((_, i) => !axes.includes(i))
  }
}

const isNegative = (dim: Dim): boolean => typeof dim === 'number' && dim < 0

function zip(a: readonly Dim[], b: readonly Dim[], merge: (a: Dim, b: Dim) => Dim): readonly Dim[] | undefined
function zip(
  a: readonly Dim[] | undefined,
  b: readonly Dim[] | undefined,
  merge: (a: Dim, b: Dim) => Dim,
): readonly Dim[] | undefined
function zip(
  a: readonly Dim[] | undefined,
  b: readonly Dim[] | undefined,
  merge: (a: Dim, b: Dim) => Dim,
): readonly Dim[] | undefined {
  if (!a || !b || (a.length !== b.length && a.length !== 1 && b.length !== 1)) return undefined
  const at = (list: readonly Dim[], i: number): Dim => list[list.length === 1 ? 0 : i] ?? null
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => merge(at(a, i), at(b, i)))
}

function inserted(shape: readonly Dim[], axes: readonly number[]): readonly Dim[] {
  const rank = shape.length + axes.length
  const places = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)))
  const rest = [...shape]
  return Array.from({ length: rank }, (_, i) => (places.has(i) ? 1 : (rest.shift() ?? null)))
}
