import { type TensorData, zeros } from './elements.ts'
import { OnnxSessionError } from './error.ts'
import type { ReadFeed } from './feed.ts'
import type { VariantDefinition } from './model.ts'
import { readFeeds } from './session.ts'
import { OnnxTensor } from './tensor.ts'
import type { Dims, IoInfo, ModelInfo, RunOptions, Session } from './types.ts'

/** One size of a model: which dims it was frozen at, and its files. */
export interface FrozenSize {
  dims: { readonly [dim: string]: number }
  info: ModelInfo
  bytes: number
  url: string | URL
  external?: readonly { path: string; bytes: number; url: string | URL }[]
}

type Rows = { [index: number]: unknown } & Partial<Pick<Uint8Array, 'set' | 'subarray'>>
type AnyFeeds = { readonly [name: string]: unknown }

/** What an emitted module calls for a model of several fixed sizes, smallest first: one session, each size opened when needed. */
export function frozen(sizes: readonly FrozenSize[]): NonNullable<VariantDefinition['frozen']> {
  return async (variant, open) => {
    const { info, media } = variant
    const opened = new Map<FrozenSize, Promise<Session>>()
    let disposal: Promise<void> | undefined
    // Asked whenever a size is about to be opened, as nobody would close it.
    const assertOpen = () => {
      if (disposal) throw new OnnxSessionError('SESSION_DISPOSED', 'the session has been disposed')
    }
    const sessionOf = (size: FrozenSize) => {
      assertOpen()
      const known = opened.get(size)
      if (known) return known
      const { external: _, media: __, ...rest } = variant
      const opening = open({ ...rest, ...size })
      opened.set(size, opening)
      opening.catch(() => opened.delete(size))
      return opening
    }
    const first = await sessionOf(sizes[0]!)
    const names = Object.keys(sizes[0]!.dims)
    const dispose = () => {
      disposal ??= Promise.all([...opened.values()].map(async (one) => (await one).dispose())).then(() => {})
      return disposal
    }
    const view = (adapter: string | undefined): object => ({
      target: first.target,
      device: first.device,
      skipped: first.skipped,
      inputs: info.inputs,
      outputs: info.outputs,
      adapters: first.adapters,
      adapter,
      async withAdapter(name: string | undefined) {
        await first.withAdapter(name)
        return view(name)
      },
      async run(given: AnyFeeds, options: RunOptions<string> = {}) {
        assertOpen()
        // Without inputs the error is that of the first that is missing.
        const feeds = given ?? {}
        const read = readFeeds(info.inputs, media ? await media(feeds, info.inputs) : feeds, true)
        const actual = sizesOf(info.inputs, read, names)
        const size = smallest(sizes, actual)
        const isExact = names.every((name) => (actual[name] ?? size.dims[name]) === size.dims[name])
        if (!isExact) {
          needMask(info.inputs, names, actual, size)
          needNames(info.outputs, sizes[0]!, size, options.outputs)
        }
        const session = await (await sessionOf(size)).withAdapter(adapter)
        const padded = [...read].map(([name, feed]) => {
          const { shape, dtype } = info.inputs.find((input) => input.name === name)!
          const { data, dims } = isExact ? feed : pad(name, feed, shape, dtype!, size.dims)
          return [name, 'location' in data ? data : { data, dims }]
        })
        const results = (await session.run(Object.fromEntries(padded) as never, options as never)) as {
          [name: string]: OnnxTensor
        }
        if (isExact) return results
        const outputs: { [name: string]: OnnxTensor } = {}
        for (const [name, tensor] of Object.entries(results)) {
          const { shape } = info.outputs.find((output) => output.name === name)!
          outputs[name] = await cut(tensor, shape, actual)
        }
        return outputs
      },
      async warmup(dims: { readonly [dim: string]: number } = {}) {
        await (await sessionOf(smallest(sizes, dims))).warmup(dims)
      },
      dispose,
      [Symbol.asyncDispose]: dispose,
    })
    return view(first.adapter) as Session
  }
}

type Actual = { [dim: string]: number }

/** The sizes that the feeds have. */
function sizesOf(inputs: readonly IoInfo[], feeds: ReadonlyMap<string, ReadFeed>, names: readonly string[]): Actual {
  const actual: Actual = {}
  for (const { name, shape = [] } of inputs)
    shape.forEach((dim, axis) => {
      const size = feeds.get(name)?.dims?.[axis]
      if (typeof dim === 'string' && names.includes(dim) && size !== undefined) actual[dim] = size
    })
  return actual
}

/** @throws OnnxSessionError INPUT_SHAPE if none is large enough */
function smallest(sizes: readonly FrozenSize[], actual: { readonly [dim: string]: number }): FrozenSize {
  const found = sizes.find(({ dims }) => Object.entries(dims).every(([name, size]) => (actual[name] ?? 1) <= size))
  if (found) return found
  const show = (dims: object) => JSON.stringify(dims)
  throw new OnnxSessionError(
    'INPUT_SHAPE',
    `the inputs are ${show(actual)}; the largest size that was built is ${show(sizes[sizes.length - 1]!.dims)}`,
  )
}

/**
 * Padding of a sequence would count without a mask that says what is padding; rows of a batch do not see each other. Zeros hide
 * what they stand for in masks that are whole numbers, or have one number per element. In masks that are added to scores
 * and in those that mark padding they do the opposite.
 */
function needMask(inputs: readonly IoInfo[], names: readonly string[], actual: Actual, { dims }: FrozenSize): void {
  for (const name of names) {
    const isMasked = inputs.some(
      ({ name: input, dtype = '', shape = [] }) =>
        /mask/i.test(input) &&
        !/pad/i.test(input) &&
        shape.includes(name) &&
        (!dtype.includes('float') || shape.length < 3),
    )
    if ((actual[name] ?? dims[name]) !== dims[name] && !isMasked && !/^(batch|n$)/i.test(name))
      throw new OnnxSessionError(
        'INPUT_SHAPE',
        `"${name}" is ${actual[name]}, and the model has no mask that would hide padding up to ${dims[name]}`,
      )
  }
}

/** Padding can be cut off only along dims whose names are known. */
function needNames(outputs: readonly IoInfo[], first: FrozenSize, size: FrozenSize, wanted?: readonly string[]): void {
  outputs.forEach(({ name, shape }, at) => {
    const [small, large] = [first, size].map(({ info }) => info.outputs[at]?.shape)
    const isOpen = shape?.some((dim, axis) => typeof dim !== 'string' && small?.[axis] !== large?.[axis])
    if (isOpen && (wanted?.includes(name) ?? true))
      throw new OnnxSessionError(
        'INPUT_SHAPE',
        `the output "${name}" has sizes of its own for each size that was built: give inputs of exactly ${JSON.stringify(size.dims)}`,
      )
  })
}

function pad(input: string, feed: ReadFeed, shape: Dims = [], dtype: string, sizes: Actual): ReadFeed {
  const { data, dims } = feed
  const to = dims!.map((size, axis) => sizes[shape[axis] as string] ?? size)
  if (to.every((size, axis) => size === dims![axis])) return feed
  if ('location' in data)
    throw new OnnxSessionError('INPUT_SHAPE', `input "${input}" is on a device and would have to be padded to [${to}]`)
  return { data: resized(data as Rows, dims!, to, dtype) as unknown as TensorData, dims: to }
}

/** An output without what belongs to padding. */
async function cut(output: OnnxTensor, shape: Dims = [], actual: Actual): Promise<OnnxTensor> {
  const { tensor } = output
  const to = tensor.dims.map((size, axis) => actual[shape[axis] as string] ?? size)
  if (to.every((size, axis) => size === tensor.dims[axis])) return output
  // What was kept on the device comes down.
  const source = (await output.getData()) as unknown as Rows
  const data = resized(source, tensor.dims, to, output.type)
  const { type } = tensor
  output.dispose()
  const Tensor = tensor.constructor as new (type: string, data: unknown, dims: readonly number[]) => typeof tensor
  return new OnnxTensor(new Tensor(type, data, to))
}

/** The elements of an array with dims `from` as one with dims `to`: cut off at the end of each dim, or filled up there. */
function resized(source: Rows, from: readonly number[], to: readonly number[], dtype: string): Rows {
  const product = (dims: readonly number[]) => dims.reduce((count, size) => count * size, 1)
  const target = zeros(dtype, product(to)) as unknown as Rows
  // Rows of the last axis that differs, with all that is in them, are copied in one go.
  const last = to.findLastIndex((size, axis) => size !== from[axis])
  const copy = (axis: number, at: number, into: number): void => {
    const [step, stride] = [product(from.slice(axis + 1)), product(to.slice(axis + 1))]
    const count = Math.min(from[axis]!, to[axis]!)
    if (axis < last) for (let i = 0; i < count; i++) copy(axis + 1, at + i * step, into + i * stride)
    else if (source.subarray) target.set!(source.subarray(at, at + count * step), into)
    else for (let i = 0; i < count * step; i++) target[into + i] = source[at + i]
  }
  copy(0, 0, 0)
  return target
}
