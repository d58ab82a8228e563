import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { ParamOutput, StepTable, StepValue } from '../../params/spec.ts'
import type { Pass } from '../pass.ts'
import { type StepName, stepTable } from './table.ts'

const params = {
  preprocess: {
    type: 'steps',
    steps: stepTable as StepTable,
    doc: 'Steps before the model, as part of it: pixels, samples or text go in',
    placeholder: 'imagenet | image(size:224) | step,step',
  },
  postprocess: {
    type: 'steps',
    steps: stepTable as StepTable,
    doc: 'Steps after the model, as part of it: classes, labels, boxes or pixels come out',
    placeholder: 'topK(5) | detections | step,step',
  },
  toolCommand: {
    type: 'enum',
    values: ['imagenet', 'mobilenet', 'superresolution', 'yolo', 'whisper'],
    doc: 'Ready steps before and after the model by one name, as in other tools',
  },
} as const

/** What each `toolCommand` stands for. */
const TOOLS: Readonly<Record<string, readonly [pre: readonly StepName[], post: readonly StepName[]]>> = {
  imagenet: [['imagenet'], ['softmax']],
  mobilenet: [['imagenet'], ['softmax']],
  superresolution: [['superresolution'], ['superresolution']],
  yolo: [['yolo'], ['yolo']],
  whisper: [['whisper'], []],
}

export type ProcessingOptions = ParamOutput<typeof params>

/** The steps of both sides, after reading. */
export function stepsOf({ preprocess, postprocess, toolCommand }: ProcessingOptions): {
  pre: readonly StepValue[]
  post: readonly StepValue[]
} {
  const [pre, post] = (toolCommand && TOOLS[toolCommand]) || [[], []]
  const named = (steps: readonly StepName[]) => steps.map((step) => ({ step }))
  return {
    pre: (preprocess as readonly StepValue[] | undefined) ?? named(pre),
    post: (postprocess as readonly StepValue[] | undefined) ?? named(post),
  }
}

/**
 * Puts steps before and after a model into its graph. Runs after everything that changes or measures the model itself: those
 * see its own inputs, for which there are calibration data, and pixels are never quantized or halved.
 */
export const processing: Pass<typeof params> = {
  name: 'processing',
  version: 1,
  doc: 'Puts the steps before and after the model into it: image, sound or text in, labels or boxes out',
  params,
  enabled: ({ preprocess, postprocess, toolCommand }) =>
    preprocess !== undefined || postprocess !== undefined || toolCommand !== undefined,
  lossless: true,
  dependencies: (options, file) => {
    const { pre, post } = stepsOf(options)
    return [...pre, ...post].flatMap((step) => filesOf(step, file))
  },
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}

/** Files that a step reads: labels, a tokenizer and its configuration. */
function filesOf({ step, labels, tokenizer }: StepValue, file: string): string[] {
  const paths = typeof labels === 'string' ? [locate(labels, file)] : []
  if (step === 'tokens') {
    const main = locate(typeof tokenizer === 'string' ? tokenizer : 'tokenizer.json', file)
    const config = join(dirname(main), 'tokenizer_config.json')
    paths.push(main, ...(existsSync(config) ? [config] : []))
  }
  return paths
}

/** The absolute path of a file: paths are relative to the model's folder. */
export function locate(path: string, model: string): string {
  return resolve(dirname(model), path)
}
