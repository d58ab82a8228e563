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
    onTensor(({ value }, { axes }, { ops }) => ({
      value: ops.op('Unsqueeze', [value, numbersOf(axes) ?? [0]]),
      shape: undefined,
    })),
    'axes',
  ),
  squeeze: onEither(
    'squeeze',
    onTensor(({ value }, { axes }, { ops }) => {
      const list = numbersOf(axes)
      return { value: ops.op('Squeeze', list ? [value, list] : [value]), shape: undefined }
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

/** A tensor as one of the outputs. */
export function plain(value: Flow['value'], dtype: Flow['dtype'], by: string, name?: string): Plain {
  return { kind: 'tensor', value, dtype, by, ...(name === undefined ? {} : { name }) }
}
