import type { Model } from '../../graph/model.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { type Flow, type Image, mismatch } from './flow.ts'
import type { ImageInput } from './model-input.ts'
import type { Operators } from './operators.ts'
import type { Separator } from './tokens.ts'

/** What steps know of each other besides what they hand on. */
export interface Context {
  model: Model
  file: string
  ops: Operators
  /** What the model takes, where an image goes in. */
  target?: ImageInput | undefined
  /** The image as it came in: boxes are drawn on it, and scaled to it. */
  original?: Image
  /** A position in the original, as float32 [y, x], is this far into what the model sees: position * scale + offset. */
  scale?: Value
  offset?: Value
  /** Colour planes that do not go through the model. */
  planes?: { cb: Image; cr: Image }
  /** The token between question and context, where texts go in. */
  separator?: Separator | undefined
  /** Whether several images go in at once. */
  several?: boolean
  /** Samples that there must be at least. */
  least?: number
  /** What each step gave so far, by its name in lower case. */
  given: Map<string, { step: string; flows: readonly Flow[] }[]>
  /** Outputs of steps that an `ioMap` names, as `step:output`. */
  awaited: ReadonlySet<string>
  /** What becomes an output besides. */
  shown: Flow[]
}

/** Arguments of a step after reading, defaults filled in. */
export type Arguments = Readonly<Record<string, unknown>>

/** Adds one step. What it does not take of the flows it hands on. */
export type Step = (flows: readonly Flow[], args: Arguments, context: Context, name: string) => readonly Flow[]

/** @throws OnnxError `PROCESSING_STEPS` where several images go in, of which a step takes one */
export function needsOne(step: string, { several }: Context): void {
  if (several) throw mismatch(step, 'takes what comes of one image, and several go in', 'Leave out batch.')
}

/** One number or two as [height, width]. */
export function sizeOf(step: string, argument: string, value: unknown): readonly [number, number] | undefined {
  if (value === undefined) return undefined
  const list = [value].flat() as number[]
  if (list.length > 2 || !list.every((size) => Number.isInteger(size) && size > 0))
    throw new OnnxError('PROCESSING_SIZE', `\`${argument}\` of the step '${step}' is ${list.join('x') || 'empty'}`, {
      hint: 'A size is a positive whole number, or [height, width].',
    })
  return [list[0]!, list[1] ?? list[0]!]
}

/** A list of numbers, where a single one may be written. */
export function numbersOf(value: unknown): readonly number[] | undefined {
  return value === undefined ? undefined : ([value].flat() as number[])
}
