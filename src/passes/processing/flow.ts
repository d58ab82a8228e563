import type { Dim } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import type { DType } from '../../onnx/dtypes.ts'
import { OnnxError } from '../../onnx/errors.ts'

/** What the channels of an image are; `rgba` may also be three channels at run time. */
export type Channels = 'rgba' | 'rgb' | 'bgr' | 'grey' | 'y'

interface Common {
  value: Value
  dtype: DType | undefined
  /** The step (or input, or output) that it comes from, for error messages. */
  by: string
  /** Name for the output that it becomes; that of the model's own output if left out. */
  name?: string | undefined
}

/** An image on its way: pixels with two dimensions of space and one of channels, perhaps with a batch of one. */
export interface Image extends Common {
  kind: 'image'
  layout: 'HWC' | 'CHW'
  batch: boolean
  channels: Channels
  /** Where known for certain. */
  height?: number | undefined
  width?: number | undefined
}

/** Samples [length] of sound. */
export interface Sound extends Common {
  kind: 'sound'
  /** Where known for certain. */
  length?: number
}

/** Power over time: [frequencies or bands, frames]. */
export interface Spectrum extends Common {
  kind: 'spectrum'
  window: number
  /** Both dimensions, where known for certain. */
  sizes?: readonly [number | undefined, number | undefined]
}

/** Any tensor. */
export interface Plain extends Common {
  kind: 'tensor'
  shape?: readonly Dim[] | undefined
  /** What it is to callers: `classes`, `boxes`, ... */
  means?: string
}

/** Boxes with scores and classes, and perhaps more numbers per box: [boxes, 6 + ...]. */
export interface Detections extends Common {
  kind: 'detections'
  /** Whether a box is two corners, or centre and size. */
  corners: boolean
}

export type Flow = Image | Sound | Spectrum | Plain | Detections

const WORDS: Readonly<Record<Flow['kind'], string>> = {
  image: 'an image',
  sound: 'samples of sound',
  spectrum: 'a spectrogram',
  tensor: 'a tensor',
  detections: 'boxes [n, 6]',
}

/**
 * The flow as the kind that a step takes.
 * @throws OnnxError `PROCESSING_STEPS` that names both steps
 */
export function expect<K extends Flow['kind']>(
  step: string,
  flow: Flow | undefined,
  kind: K,
): Extract<Flow, { kind: K }> {
  if (flow?.kind !== kind)
    throw mismatch(
      step,
      `takes ${WORDS[kind]}, and ${flow ? `'${flow.by}' before it gives ${WORDS[flow.kind]}` : 'there is nothing before it'}`,
    )
  return flow as Extract<Flow, { kind: K }>
}

/** Two steps, or a step and the model, do not fit. */
export function mismatch(step: string, why: string, hint?: string): OnnxError {
  return new OnnxError('PROCESSING_STEPS', `the step '${step}' ${why}`, hint === undefined ? {} : { hint })
}

/** Axis of height, width or channels. */
export function axisOf({ layout, batch }: Image, which: 'h' | 'w' | 'c'): number {
  const axis = layout === 'HWC' ? 'hwc'.indexOf(which) : 'chw'.indexOf(which)
  return axis + (batch ? 1 : 0)
}

/** Number of channels; undefined while it is known at run time only. */
export function channelCount(channels: Channels): number | undefined {
  return channels === 'rgba' ? undefined : channels === 'rgb' || channels === 'bgr' ? 3 : 1
}
