import type { Step } from '../context.ts'
import { expect, mismatch } from '../flow.ts'
import type { StepName } from '../table.ts'
import { boxSteps } from './boxes.ts'
import { classSteps } from './classes.ts'
import { cropped, type Interpolation, resized } from './geometry.ts'
import { imagenetArguments, imageSteps, mergeColours, prepareImage } from './image.ts'
import { scaled, toYCbCr } from './pixels.ts'
import { soundSteps } from './sound.ts'
import { tensorSteps } from './tensors.ts'

/** Steps that make of an image what the model's input wants, in one piece. */
const wholes: Readonly<Record<string, Step>> = {
  image: ([flow, ...rest], args, context, name) => {
    const image = prepareImage(expect(name, flow, 'image'), args, context.target, context, name)
    return [{ ...image, by: name }, ...rest]
  },
  imagenet: (flows, args, context, name) =>
    wholes['image']!(flows, { ...args, ...imagenetArguments(given(args), context.target) }, context, name),
  yolo: (flows, args, context, name) =>
    flows[0]?.kind === 'image'
      ? wholes['image']!(flows, { ...args, fit: 'contain', fill: 114 }, context, name)
      : boxSteps['detections']!(flows, args, context, name),
  superresolution: ([flow, ...rest], args, context, name) => {
    const { target } = context
    const sampling = { interpolation: args['interpolation'] as Interpolation, antialias: true }
    if (flow?.kind === 'tensor') {
      const [y] = imageSteps['floatToImageBytes']!([flow], { multiplier: 255 }, context, name)
      const image = expect(name, y, 'image')
      if (image.channels !== 'y') throw mismatch(name, 'takes brightness, one channel, from the model')
      return [{ ...mergeColours(image, args['interpolation'], context, name), by: name, name: 'image' }, ...rest]
    }
    let image = expect(name, flow, 'image')
    if (target?.height && target.width) {
      const size = [target.height, target.width] as const
      image = cropped(resized(image, size, 'notSmaller', sampling, context), size, context, name)
    }
    const y = scaled(toYCbCr(image, context, name), 1 / 255, context)
    return [{ ...y, by: name }, ...rest]
  },
  // The graph stays as it is: the wrapper fills the inputs.
  tokens: (flows) => flows,
}

/** Arguments that are set: those that are not give way. */
function given(args: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined))
}

/** What each step of the table does. */
export const steps: Readonly<Record<StepName, Step>> = {
  ...wholes,
  ...imageSteps,
  ...tensorSteps,
  ...classSteps,
  ...boxSteps,
  ...soundSteps,
} as Readonly<Record<StepName, Step>>

/** Steps that take sound: where the first before a model is one of these, samples go in. */
export const SOUND_STEPS: ReadonlySet<string> = new Set(Object.keys(soundSteps))
