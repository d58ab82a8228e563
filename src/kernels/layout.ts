/** A row-major tensor seen from one of its axes: `outer` x `channels` x `inner` elements, one parameter per channel. */
export interface ChannelLayout {
  readonly outer: number
  readonly channels: number
  readonly inner: number
}

/** The layout of a tensor of shape `shape` with channels along `axis` (may be negative). */
export function channelLayout(shape: readonly number[], axis: number): ChannelLayout {
  const at = axis < 0 ? axis + shape.length : axis
  if (!Number.isInteger(at) || at < 0 || at >= shape.length)
    throw new RangeError(`axis ${axis} of a tensor of rank ${shape.length}`)
  const product = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1)
  return { outer: product(shape.slice(0, at)), channels: shape[at]!, inner: product(shape.slice(at + 1)) }
}

/** Throws a RangeError unless a layout covers exactly `length` elements. */
export function checkLayout({ outer, channels, inner }: ChannelLayout, length: number): void {
  if (outer * channels * inner !== length)
    throw new RangeError(`a layout of ${outer} x ${channels} x ${inner} does not fit ${length} elements`)
}

/**
 * How to walk a layout: by `runs` of neighbouring elements of one channel, or, where runs would be short, by `columns`: the
 * pattern of channels repeats every `period` elements, so the tensor is a matrix with that many columns.
 */
export function walkOf({ outer, channels, inner }: ChannelLayout): { by: 'runs' } | { by: 'columns'; period: number } {
  if (inner >= 16 || outer < 2) return { by: 'runs' }
  const pattern = channels * inner
  // several repetitions side by side where one alone would not fill a vector register or two
  const times = Math.min(outer, Math.max(1, Math.ceil(64 / pattern)))
  return { by: 'columns', period: pattern * times }
}

/**
 * Cuts a piece of a columns walk (from element `start`, `count` elements) into blocks of whole rows:
 * `visit(offset in the piece, rows, first column, columns)`.
 */
export function forEachBlock(
  start: number,
  count: number,
  period: number,
  visit: (offset: number, rows: number, column: number, columns: number) => void,
): void {
  let offset = 0
  while (offset < count) {
    const column = (start + offset) % period
    const left = count - offset
    const rows = column === 0 && left >= period ? Math.floor(left / period) : 1
    const columns = column === 0 && left >= period ? period : Math.min(period - column, left)
    visit(offset, rows, column, columns)
    offset += rows * columns
  }
}

/**
 * Cuts a piece into the runs of single channels: `visit(offset in the piece, channel, count)`.
 */
export function forEachRun(
  start: number,
  count: number,
  { channels, inner }: ChannelLayout,
  visit: (offset: number, channel: number, count: number) => void,
): void {
  let offset = 0
  while (offset < count) {
    const at = start + offset
    const run = Math.floor(at / inner)
    const length = Math.min((run + 1) * inner - at, count - offset)
    visit(offset, run % channels, length)
    offset += length
  }
}

/**
 * As `forEachRun`, but whole runs of neighbouring channels come together, as rows: `visit(offset in the piece, first channel, rows,
 * length of a row)`.
 */
export function forEachRows(
  start: number,
  count: number,
  { channels, inner }: ChannelLayout,
  visit: (offset: number, channel: number, rows: number, length: number) => void,
): void {
  let offset = 0
  while (offset < count) {
    const at = start + offset
    const channel = Math.floor(at / inner) % channels
    const within = at % inner
    const whole = within === 0 ? Math.min(channels - channel, Math.floor((count - offset) / inner)) : 0
    const length = whole > 0 ? inner : Math.min(inner - within, count - offset)
    const rows = Math.max(1, whole)
    visit(offset, channel, rows, length)
    offset += rows * length
  }
}
