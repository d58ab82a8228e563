import { addDims, broadcast, divideDims, floorDim, multiplyDims, sliceLength } from '../dims.ts'
import type { Dim } from '../types.ts'
import type { Operands } from './operands.ts'

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

/** The shapes of what a node makes. */
export class OutputShapes {
  readonly #at: Operands

  constructor(operands: Operands) {
    this.#at = operands
  }

  /** Of each output, as far as it is known. */
  all(): (readonly Dim[] | undefined)[] {
    return this.#at.node.opType === 'Split' ? this.#split() : [this.#first()]
  }

  #first(): readonly Dim[] | undefined {
    const node = this.#at.node
    const first = this.#at.shapeOf(0)
    const second = this.#at.shapeOf(1)
    const { opType } = node
    if (UNARY.has(opType)) return first
    if (BINARY.has(opType)) {
      const shapes = node.inputs.map((_, i) => this.#at.shapeOf(i))
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
        const wanted = this.#at.contentsOf(1)
        return first && wanted && broadcast(first, wanted)
      }
      case 'ConstantOfShape':
        return this.#at.contentsOf(0)
      case 'Range': {
        const [start, limit, delta] = [0, 1, 2].map((i) => this.#at.contentsOf(i)?.[0])
        if (delta !== 1 || limit === undefined || start === undefined) return undefined
        // One that ends before it begins is empty.
        return start === 0 || !this.#at.isCertain ? [addDims(limit, start, -1)] : undefined
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
        const axes = this.#at.integers(1, 'axes')
        return first && axes && inserted(first, axes)
      }
      case 'Squeeze': {
        const axes = this.#at.integers(1, 'axes')?.map((axis) => axis + (axis < 0 ? (first?.length ?? 0) : 0))
        return axes && first?.filter((_, i) => !axes.includes(i))
      }
      case 'Slice':
        return this.#sliced(first)
      case 'Flatten': {
        const axis = node.int('axis', 1)
        return first && [multiplyDims(first.slice(0, axis)), multiplyDims(first.slice(axis))]
      }
      case 'Tile': {
        const repeats = this.#at.contentsOf(1)
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
    const wanted = this.#at.contentsOf(1)
    if (!wanted) return undefined
    const zeros = !this.#at.node.int('allowzero')
    const shape = wanted.map((dim, i) => (dim === 0 && zeros ? (from?.[i] ?? null) : dim))
    const at = shape.indexOf(-1)
    return at < 0 ? shape : shape.with(at, from ? divideDims(from, shape.toSpliced(at, 1)) : null)
  }

  #concatenated(): readonly Dim[] | undefined {
    const shapes = this.#at.node.inputs.map((_, i) => this.#at.shapeOf(i))
    const rank = shapes[0]?.length ?? 0
    if (!shapes.every((shape) => shape?.length === rank)) return undefined
    const axis = this.#at.node.int('axis', 0)
    const at = axis < 0 ? axis + rank : axis
    return Array.from({ length: rank }, (_, i) => {
      const dims = shapes.map((shape) => shape![i]!)
      if (i !== at) return dims.find((dim) => typeof dim === 'number') ?? dims.find((dim) => dim !== null) ?? null
      return dims.reduce<Dim>((a, b) => addDims(a, b), 0)
    })
  }

  #sliced(from: readonly Dim[] | undefined): readonly Dim[] | undefined {
    if (!from) return undefined
    const starts = this.#at.node.ints('starts') ?? this.#at.contentsOf(1)
    const ends = this.#at.node.ints('ends') ?? this.#at.contentsOf(2)
    const isGiven = this.#at.node.input(3) !== undefined || this.#at.node.attributes.has('axes')
    const axes = isGiven ? this.#at.integers(3, 'axes') : starts?.map((_, i) => i)
    const steps = this.#at.node.input(4) ? this.#at.integers(4, 'steps') : starts?.map(() => 1)
    if (!axes || !steps) return undefined
    const shape = [...from]
    for (const [i, axis] of axes.entries()) {
      const at = axis < 0 ? axis + from.length : axis
      const step = steps[i]!
      const [start, end] = [starts?.[i] ?? null, ends?.[i] ?? null]
      // All of it, backwards.
      if (step === -1 && start === -1 && typeof end === 'number' && end < -(2 ** 31)) continue
      const length = sliceLength(from[at] ?? null, start, end, this.#at.isCertain)
      shape[at] = step === 1 ? length : step > 1 && typeof length === 'number' ? Math.ceil(length / step) : null
    }
    return shape
  }

  #convolved(from: readonly Dim[], weight: readonly Dim[]): readonly Dim[] {
    const rank = from.length - 2
    const list = (name: string, fill: number): number[] =>
      this.#at.node.ints(name) ?? Array.from({ length: 2 * rank }, () => fill)
    const [strides, dilations, pads] = [list('strides', 1), list('dilations', 1), list('pads', 0)]
    const isPlain = this.#at.node.string('auto_pad', 'NOTSET') === 'NOTSET'
    const spatial = from.slice(2).map((size, i): Dim => {
      const kernel = weight[i + 2]
      if (!isPlain || typeof kernel !== 'number') return null
      const steps = addDims(size, pads[i]! + pads[i + rank]! - dilations[i]! * (kernel - 1) - 1)
      return addDims(
        floorDim(steps, strides[i]!, (name) => this.#at.derived(name)),
        1,
      )
    })
    return [from[0]!, (this.#at.node.is('Conv') ? weight[0] : weight[1])!, ...spatial]
  }

  /** Whole factors alone; in opset 10 they are the second input. */
  #resized(from: readonly Dim[]): readonly Dim[] | undefined {
    const sizes = this.#at.contentsOf(3)
    if (sizes?.length === from.length && this.#at.node.string('keep_aspect_ratio_policy', 'stretch') === 'stretch')
      return this.#at.node.attributes.has('axes') ? from.map(() => null) : sizes
    const scales = this.#at.node.input(this.#at.node.inputCount === 2 ? 1 : 2)?.constant?.toNumbers()
    if (scales?.length !== from.length || this.#at.node.attributes.has('axes'))
      return this.#at.node.output().shape ? undefined : from.map(() => null)
    return from.map((dim, i) => (Number.isInteger(scales[i]) ? multiplyDims([dim, scales[i]!]) : null))
  }

  #padded(from: readonly Dim[]): readonly Dim[] {
    const pads = this.#at.node.ints('pads') ?? this.#at.contentsOf(1)
    const isWhole = !this.#at.node.input(3) && pads?.length === 2 * from.length
    return from.map((dim, i) => (isWhole ? addDims(addDims(dim, pads[i]!), pads[i + from.length]!) : null))
  }

  #contracted(): readonly Dim[] | undefined {
    const [inputs, output] = this.#at.node.string('equation', '').replaceAll(' ', '').split('->')
    if (!inputs || output === undefined || /[^a-zA-Z,]/.test(inputs + output)) return undefined
    const sizes = new Map<string, Dim>()
    for (const [i, labels] of inputs.split(',').entries())
      for (const [axis, label] of [...labels].entries()) {
        const size = this.#at.shapeOf(i)?.[axis] ?? null
        if (typeof size === 'number' ? size !== 1 : size !== null && !sizes.get(label)) sizes.set(label, size)
        else if (!sizes.has(label)) sizes.set(label, size)
      }
    return [...output].map((label) => sizes.get(label) ?? null)
  }

  #split(): (readonly Dim[] | undefined)[] {
    const from = this.#at.shapeOf(0)
    const axis = this.#at.node.int('axis', 0)
    const at = from && axis < 0 ? axis + from.length : axis
    const size = from?.[at]
    const sizes = this.#at.node.ints('split') ?? this.#at.contentsOf(1)
    const parts = this.#at.node.outputs.length
    const isEven = !this.#at.node.input(1) && !this.#at.node.attributes.has('split')
    const even = isEven && typeof size === 'number' && size % parts === 0 ? size / parts : null
    return this.#at.node.outputs.map((_, i) => from?.with(at, sizes?.[i] ?? even))
  }

  #reduced(from: readonly Dim[] | undefined): readonly Dim[] | undefined {
    const isGiven = this.#at.node.input(1) !== undefined || this.#at.node.attributes.has('axes')
    if (!isGiven) return undefined
    const axes = this.#at.integers(1, 'axes')?.map((axis) => axis + (axis < 0 ? (from?.length ?? 0) : 0))
    if (!axes || !from) return undefined
    const keeps = this.#at.node.int('keepdims', 1) !== 0
    return keeps ? from.map((dim, i) => (axes.includes(i) ? 1 : dim)) : from.filter((_, i) => !axes.includes(i))
  }
}

function inserted(shape: readonly Dim[], axes: readonly number[]): readonly Dim[] {
  const rank = shape.length + axes.length
  const places = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)))
  const rest = [...shape]
  return Array.from({ length: rank }, (_, i) => (places.has(i) ? 1 : (rest.shift() ?? null)))
}
