import type { BlockOptions, QuantizedBlocks } from './blocks.ts'
import type { BlockLayout } from './slabs.ts'

/** A part of a tensor that can be quantized by itself: elements `start`..`start + elements`, seen as `layout`. */
export interface Slice {
  readonly start: number
  readonly elements: number
  readonly layout: BlockLayout
}

/**
 * Cuts a block layout into about `parts` slices of neighbouring elements: between outer indices, or, where there is only one,
 * between groups of four blocks of the blocked axis. Four of anything, so that packed codes of every slice end with a byte.
 */
export function sliceLayout(layout: BlockLayout, blockSize: number, parts: number): Slice[] {
  const { outer, length, inner } = layout
  const unit = outer > 1 ? 4 : 4 * blockSize
  const total = outer > 1 ? outer : length
  const perStep = outer > 1 ? length * inner : inner
  const step = Math.max(unit, Math.ceil(total / Math.max(1, parts) / unit) * unit)
  const slices: Slice[] = []
  for (let at = 0; at < total; at += step) {
    const count = Math.min(step, total - at)
    const part = outer > 1 ? { ...layout, outer: count } : { ...layout, length: count }
    slices.push({ start: at * perStep, elements: count * perStep, layout: part })
  }
  return slices
}

/** Puts the results of all slices of `sliceLayout` together. */
export function mergeSlices(
  parts: readonly QuantizedBlocks[],
  layout: BlockLayout,
  options: BlockOptions,
): QuantizedBlocks {
  if (parts.length === 1) return parts[0]!
  // slices of the blocked axis lie side by side in the row of each channel, all others one after the other
  const sideBySide = layout.outer === 1 && (options.order ?? 'blocks') === 'blocks'
  const rows = sideBySide ? layout.inner : 1
  const first = parts[0]!
  const join = <T extends Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(pick: (part: QuantizedBlocks) => T): T =>
    interleave(parts.map(pick), rows)
  return {
    codes: join((part) => part.codes),
    scales: join((part) => part.scales),
    ...(first.zeroPoints && { zeroPoints: join((part) => part.zeroPoints!) }),
    ...(first.floatZeroPoints && { floatZeroPoints: join((part) => part.floatZeroPoints!) }),
    blocks: layout.outer > 1 ? first.blocks : parts.reduce((sum, part) => sum + part.blocks, 0),
    finite: parts.every((part) => part.finite),
  }
}

/** Matrices of `rows` rows joined side by side. */
function interleave<T extends Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
  parts: readonly T[],
  rows: number,
): T {
  const total = parts.reduce((sum, part) => sum + part.length, 0)
  const result = new (parts[0]!.constructor as new (length: number) => T)(total)
  const width = total / rows
  let column = 0
  for (const part of parts) {
    const columns = part.length / rows
    for (let row = 0; row < rows; row++)
      result.set(part.subarray(row * columns, (row + 1) * columns), row * width + column)
    column += columns
  }
  return result
}
