import type { Node } from '../../../graph/node.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { constantOf } from '../../../rewrite/index.ts'
import { type Atom, type Axes, axesOf, leavesOf } from '../axes/atoms.ts'
import { Selection } from '../axes/selection.ts'
import { axesAfter, isMoving, type Stage, viewOf } from '../axes/view.ts'

/** A value [batch, heads, length, size] that holds some columns of `input · weight + bias`, with constant weight and bias. */
export interface Projection {
  /** What is projected; its axes are made of the pieces in `batch` and `length`, and `width`. */
  input: Stage
  batch: readonly Atom[]
  length: readonly Atom[]
  width: readonly Atom[]
  weight: Tensor
  bias: Tensor | undefined
  /** Of the weight, in the order heads, size. */
  columns: readonly number[]
  /** What leads from the product to the value; nothing else may need what it computes. */
  path: readonly Node[]
}

/** Pieces of the axes of inputs, so that those of projections of one input can be compared. */
export type InputAxes = Map<Value, Stage>

/** How many operators may stand between a projection and attention. */
const LENGTH = 16

/** The projection that a value is, alone or as one part of a packed one; undefined if it is none. */
export function projectionOf(operand: Value, known: InputAxes): Projection | undefined {
  const values = [operand]
  while (values.length < LENGTH) {
    const value = values[0]!
    const product = productOf(value, known)
    if (product) return selected(product, values)
    const node = value.producer
    if (!node || node.graph !== operand.graph || !(isMoving(node) || Selection.OPERATORS.has(node.opType)))
      return undefined
    values.unshift(node.input(0)!)
  }
  return undefined
}

interface Product {
  input: Stage
  /** Axes of the rows. */
  rows: Axes
  weight: Tensor
  bias: Tensor | undefined
  nodes: readonly Node[]
}

function selected(product: Product, values: readonly Value[]): Projection | undefined {
  const { weight, rows, input } = product
  const selection = new Selection(weight.dims[1]!)
  let axes: Axes | undefined = [...rows, [selection.whole]]
  for (const value of values.slice(1)) {
    const node = value.producer!
    axes = Selection.OPERATORS.has(node.opType)
      ? selection.through(node, value, axes)
      : value.shape && axesAfter(node, axes, value.shape)
    if (!axes) return undefined
  }
  const [batch, heads, length, size] = axes
  if (!size) return undefined
  const columns = selection.columns(leavesOf(heads!, size))
  const inner = new Set(selection.leaves)
  if (!columns || leavesOf(batch!, length!).some((atom) => inner.has(atom))) return undefined
  return {
    ...product,
    batch: batch!,
    length: length!,
    width: input.axes.at(-1)!,
    columns,
    path: [...product.nodes, ...values.slice(1).map(({ producer }) => producer!)],
  }
}

function productOf(value: Value, known: InputAxes): Product | undefined {
  const node = value.producer
  if (node?.is('Gemm')) return matrixOf(node, known)
  if (node?.is('Add')) {
    const [a, b] = [node.input(0), node.input(1)]
    const bias = vectorOf(a, value.shape?.at(-1)) ?? vectorOf(b, value.shape?.at(-1))
    const inner = bias && productOf(constantOf(a) === bias ? b! : a!, known)
    return inner && !inner.bias && inner.nodes.at(-1)!.output().onlyUser === node
      ? { ...inner, bias, nodes: [...inner.nodes, node] }
      : undefined
  }
  if (!node?.is('MatMul')) return undefined
  const [input, weight] = [node.input(0), constantOf(node.input(1))]
  if (!input?.shape || weight?.dims.length !== 2) return undefined
  if (input.rank === 2) return matrixOf(node, known)
  const stage = remembered(known, { value: input, axes: axesOf(input.shape), factor: 1 })
  return { input: stage, rows: stage.axes.slice(0, -1), weight, bias: undefined, nodes: [node] }
}

/** A Gemm or a MatMul of matrices, for which exporters flatten batch and length. */
function matrixOf(node: Node, known: InputAxes): Product | undefined {
  const isPlain =
    node.float('alpha', 1) === 1 && node.float('beta', 1) === 1 && !node.int('transA') && !node.int('transB')
  const [input, weight] = [node.input(0), constantOf(node.input(1))]
  const bias = vectorOf(node.input(2), weight?.dims[1])
  const stages = input && viewOf(input)
  if (!isPlain || weight?.dims.length !== 2 || !stages || (node.input(2) && !bias)) return undefined
  const { axes } = stages.at(-1)!
  const before = stages.find((stage) => stage.axes.length === 3 && stage.axes[2]![0] === axes[1]?.[0])
  const stage = remembered(known, before ?? stages.at(-1)!)
  return { input: stage, rows: [stage.axes.slice(0, -1).flat()], weight, bias, nodes: [node] }
}

/** The pieces that the axes of an input have had from the first. */
function remembered(known: InputAxes, stage: Stage): Stage {
  if (!known.has(stage.value)) known.set(stage.value, stage)
  return known.get(stage.value)!
}

/** A constant along an axis of this size. */
function vectorOf(value: Value | undefined, size: unknown): Tensor | undefined {
  const tensor = constantOf(value)
  return tensor?.dims.length === 1 && tensor.elementCount === size ? tensor : undefined
}

/** The value that something reads besides the attention that these projections are for. */
export function readElsewhere(parts: readonly Projection[], attention: Node): Value | undefined {
  const own = new Set([attention, ...parts.flatMap(({ path }) => path)])
  for (const node of own) {
    if (node === attention) continue
    for (const value of node.outputs)
      if (value?.isOutput || value?.users.some((user) => !own.has(user) && !user.is('Shape'))) return value!
  }
  return undefined
}
