import type { Dim } from '../../../graph/types.ts'
import { type Arguments, type Context, numbersOf, type Step } from '../context.ts'
import { expect, type Flow, mismatch, type Plain } from '../flow.ts'
import { imageAxes } from './image.ts'
import { toChannels } from './pixels.ts'

/** A step on the first flow as any tensor. */
function onTensor(apply: (flow: Plain, args: Arguments, context: Context, name: string) => Partial<Plain>): Step {
  return ([flow, ...rest], args, context, name) => {
    const tensor = expect(name, flow, 'tensor')
    return [{ ...tensor, ...apply(tensor, args, context, name), by: name }, ...rest]
  }
}

/** A step that means something else for images. */
function onEither(kind: 'transpose' | 'unsqueeze' | 'squeeze', tensor: Step, argument: string): Step {
  return ([flow, ...rest], args, context, name) =>
    flow?.kind === 'image'
      ? [{ ...imageAxes(flow, kind, args[argument], context, name), by: name }, ...rest]
      : tensor([flow!, ...rest].filter(Boolean), args, context, name)
}

function without(shape: readonly Dim[] | undefined, axis: number, keep: boolean): readonly Dim[] | undefined {
  const at = axis < 0 ? axis + (shape?.length ?? 0) : axis
  return shape?.flatMap((dim, i) => (i === at ? (keep ? [1] : []) : [dim]))
}

export const tensorSteps: Readonly<Record<string, Step>> = {
  identity: (flows) => flows,
  debug: (flows, { numInputs }, context) => {
    const count = (numInputs as number | undefined) ?? flows.length
    context.shown.push(...flows.slice(0, count).map((flow) => ({ ...flow, name: `debug_${slug(flow.by)}` })))
    return flows
  },
  split: ([flow, ...rest], { numOutputs, axis, splits }, context, name) => {
    const { value, dtype, shape } = expect(name, flow, 'tensor')
    const at = axis as number
    const size = shape?.at(at)
    const count = numOutputs as number | undefined
    let sizes = numbersOf(splits)
    if (!sizes && typeof size === 'number' && count) {
      const each = Math.ceil(size / count)
      sizes = Array.from({ length: count }, (_, i) => Math.min(each, size - i * each))
    }
    if (!sizes)
      throw mismatch(name, count ? 'cuts a dimension of unknown size' : 'needs numOutputs or splits', 'Set splits.')
    const total = sizes.reduce((sum, one) => sum + one, 0)
    if (
      sizes.some((one) => one < 1) ||
      (count && count !== sizes.length) ||
      (typeof size === 'number' && size !== total)
    )
      throw mismatch(name, `cannot cut ${size ?? 'a dimension'} into ${count ?? sizes.length} parts of [${sizes}]`)
    const parts = context.ops.ops('Split', [value, sizes], sizes.length, { axis: at })
    const shapeOf = (i: number) => shape?.map((dim, d) => (d === (at < 0 ? at + shape.length : at) ? sizes[i]! : dim))
    return [...parts.map((part, i): Plain => ({ ...plain(part, dtype, name), shape: shapeOf(i) })), ...rest]
  },
  softmax: onTensor(({ value, dtype }, { axis }, { ops }) => ({
    value: ops.op('Softmax', [value], { axis: axis as number }),
    dtype,
  })),
  sigmoid: onTensor(({ value }, _, { ops }) => ({ value: ops.op('Sigmoid', [value]) })),
  argMax: onTensor(({ value, shape }, { axis, keepdims }, { ops }) => ({
    value: ops.op('ArgMax', [value], { axis: axis as number, keepdims: keepdims as number }),
    dtype: 'int64',
    shape: without(shape, axis as number, keepdims === 1),
  })),
  transpose: onEither(
    'transpose',
    onTensor(({ value, shape }, { perms }, { ops }, name) => {
      const perm = numbersOf(perms)
      if (!perm || (shape && perm.length !== shape.length))
        throw mismatch(name, `reorders ${shape?.length ?? 'unknown'} dimensions by [${perm ?? ''}]`)
      return { value: ops.op('Transpose', [value], { perm }), shape: shape && perm.map((axis) => shape[axis]!) }
    }),
    'perms',
  ),
  unsqueeze: onEither(
    'unsqueeze',
    onTensor(({ value, shape }, { axes }, { ops }) => {
      const list = numbersOf(axes) ?? [0]
      const rank = (shape?.length ?? 0) + list.length
      const added = new Set(list.map((axis) => (axis < 0 ? axis + rank : axis)))
      const left = [...(shape ?? [])]
      const dims = Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : left.shift()!))
      return { value: ops.op('Unsqueeze', [value, list]), shape: shape && dims }
    }),
    'axes',
  ),
  squeeze: onEither(
    'squeeze',
    onTensor(({ value, shape }, { axes }, { ops }, name) => {
      const list = numbersOf(axes)
      const gone = new Set(list?.map((axis) => (axis < 0 ? axis + (shape?.length ?? 0) : axis)))
      const wrong = shape?.find((dim, i) => gone.has(i) && typeof dim === 'number' && dim !== 1)
      if (wrong !== undefined)
        throw mismatch(name, `takes away dimensions of size 1, and one of [${shape}] is ${wrong}`)
      const dims = shape?.filter((dim, i) => (list ? !gone.has(i) : dim !== 1))
      // Without axes, what is dynamic may be 1 too.
      const known = list ?? shape?.every((dim) => typeof dim === 'number')
      return { value: ops.op('Squeeze', list ? [value, list] : [value]), shape: known ? dims : undefined }
    }),
    'axes',
  ),
  reverseAxis: (flows, args, context, name) => {
    const [flow, ...rest] = flows
    const axis = args['axis'] as number
    if (flow?.kind === 'image') {
      const own = flow.layout === 'HWC' ? [-1, flow.batch ? 3 : 2] : [-3, flow.batch ? 1 : 0]
      if (!own.includes(axis)) throw mismatch(name, `reverses the channels of an image, which are dimension ${own[1]}`)
      return [{ ...toChannels(flow, flow.channels === 'bgr' ? 'rgb' : 'bgr', context, name), by: name }, ...rest]
    }
    return onTensor(({ value }, _, { ops }) => ({
      value: ops.slice(value, axis, [-1], [Number.MIN_SAFE_INTEGER], -1),
    }))(flows, args, context, name)
  },
}

/** Letters, digits and underscores alone. */
function slug(text: string): string {
  return text.replace(/\W+/g, '_').replace(/^_|_$/g, '')
}

/** A tensor as one of the outputs. */
export function plain(value: Flow['value'], dtype: Flow['dtype'], by: string, name?: string): Plain {
  return { kind: 'tensor', value, dtype, by, ...(name === undefined ? {} : { name, means: name }) }
}
