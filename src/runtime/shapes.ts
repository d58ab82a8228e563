import { OnnxSessionError } from './error.ts'
import type { ReadFeed } from './feed.ts'
import type { Dims, IoInfo } from './types.ts'

/**
 * Gives every fed input its shape and compares all of them with the declared ones: rank, fixed dims, and one size per
 * dim name over all inputs. A flat array takes the declared shape; its open dims are those known from other inputs, and
 * one that is left follows from the number of elements.
 * @param check `false` leaves given shapes uncompared
 * @throws OnnxSessionError INPUT_SHAPE or INPUT_AMBIGUOUS
 */
export function resolveShapes(inputs: readonly IoInfo[], feeds: ReadonlyMap<string, ReadFeed>, check: boolean): void {
  const known = new Map<string, { size: number; by: string }>()
  let open: [IoInfo, ReadFeed, Dims][] = []
  for (const input of inputs) {
    const feed = feeds.get(input.name)
    if (!feed) continue
    if (feed.dims) bind(input, feed.dims)
    else if (input.shape) open.push([input, feed, input.shape])
    else feed.dims = [feed.length!]
  }
  while (open.length) {
    const left = open.filter(([input, feed, shape]) => {
      const dims = solve(input, shape, feed.length!)
      if (dims) {
        feed.dims = dims
        bind(input, dims)
      }
      return !dims
    })
    if (left.length === open.length) {
      const [input, feed, shape] = left[0]!
      const [text, count] = [show(shape), feed.length!]
      throw new OnnxSessionError(
        'INPUT_AMBIGUOUS',
        `input "${input.name}": ${count} elements fit ${text} in several ways: pass { data, dims }`,
      )
    }
    open = left
  }

  function bind({ name, shape }: IoInfo, dims: readonly number[]): void {
    if (!shape) return
    const fail = (why = '') => {
      if (check) throw new OnnxSessionError('INPUT_SHAPE', `input "${name}" is ${show(dims)}, not ${show(shape)}${why}`)
    }
    if (dims.length !== shape.length) fail()
    shape.forEach((dim, at) => {
      const size = dims[at]!
      if (typeof dim === 'number') {
        if (dim !== size) fail()
      } else if (dim) {
        const before = known.get(dim)
        if (!before) known.set(dim, { size, by: name })
        else if (before.size !== size) fail(`: "${dim}" is ${size} here and ${before.size} in "${before.by}"`)
      }
    })
  }

  /** The shape of a flat array, or undefined while more than one dim is open. */
  function solve({ name }: IoInfo, shape: Dims, length: number): number[] | undefined {
    const dims = shape.map((dim) => (typeof dim === 'string' ? known.get(dim)?.size : dim) ?? -1)
    const at = dims.indexOf(-1)
    const product = dims.reduce((total, size) => (size < 0 ? total : total * size), 1)
    if (at >= 0) {
      // A single element is taken to mean ones; a dim that stands in a shape twice is left to the user.
      if (length === 1 && product === 1) return dims.map(Math.abs)
      if (dims.indexOf(-1, at + 1) >= 0 || (!product && !length)) return undefined
      dims[at] = length / product
    }
    if (at < 0 ? product === length : Number.isInteger(dims[at])) return dims
    throw new OnnxSessionError('INPUT_SHAPE', `input "${name}": ${length} elements do not make ${show(shape)}`)
  }
}

/** `[batch, 8, ?]` */
export function show(dims: Dims): string {
  return `[${dims.map((dim) => dim || (dim === 0 ? 0 : '?')).join(', ')}]`
}
