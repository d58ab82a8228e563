import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { OnnxError } from '../../onnx/errors.ts'
import { foldCase } from '../../params/case.ts'
import { nearest } from '../../params/nearest.ts'
import { findKey, OPTIONS } from '../../params/read.ts'
import type { ParamOutput, StepTable, StepValue } from '../../params/spec.ts'
import { parseSteps } from '../../params/steps.ts'
import type { Pass } from '../pass.ts'
import { ELSEWHERE, type StepName, stepTable } from './table.ts'

const params = {
  preprocess: {
    type: 'steps',
    steps: stepTable as StepTable,
    elsewhere: ELSEWHERE as typeof ELSEWHERE,
    doc: 'Steps before the model, as part of it: pixels, samples or text go in',
    placeholder: 'imagenet | image(size:224) | step,step',
  },
  postprocess: {
    type: 'steps',
    steps: stepTable as StepTable,
    elsewhere: ELSEWHERE as typeof ELSEWHERE,
    doc: 'Steps after the model, as part of it: classes, labels, boxes or pixels come out',
    placeholder: 'topK(5) | detections | step,step',
  },
  toolCommand: {
    type: 'enum',
    values: ['imagenet', 'mobilenet', 'superresolution', 'yolo', 'yolo_detection', 'whisper', 'transformers_and_bert'],
    doc: 'Ready steps before and after the model by one name, as in other tools',
  },
  toolCommandArgs: {
    type: 'map',
    placeholder: 'argument:value',
    doc: 'Arguments of these steps by name, as in other tools: `resize:256`, `iou_threshold:0.5`, `input_shape:640x640`',
  },
} as const

/** What each `toolCommand` stands for. */
const TOOLS: Readonly<Record<string, readonly [pre: readonly StepName[], post: readonly StepName[]]>> = {
  imagenet: [['imagenet'], ['softmax']],
  mobilenet: [['imagenet'], ['softmax']],
  superresolution: [['superresolution'], ['superresolution']],
  yolo: [['yolo'], ['yolo']],
  yolo_detection: [['yolo'], ['yolo']],
  whisper: [['whisper'], []],
}

/** What comes after a model of text, by its task. */
const TASKS: Readonly<Record<string, readonly StepName[]>> = {
  QuestionAnswering: ['answer'],
  SequenceClassification: ['topK'],
  NextSentencePrediction: ['argMax'],
}

/** The steps of a tool. @throws OnnxError `OPTION_VALUE` for a task that there is not */
function toolSteps(
  command: string | undefined,
  args: Readonly<Record<string, string>>,
): readonly [pre: readonly StepName[], post: readonly StepName[], own: readonly string[]] {
  if (command !== 'transformers_and_bert') return [...((command && TOOLS[command]) || [[], []]), []]
  const own = Object.keys(args).filter((name) => ['task', 'tasktype', 'nlptasktype'].includes(foldCase(name)))
  const given = own.map((name) => args[name]!)[0]
  const task = Object.keys(TASKS).find((known) => given && foldCase(known) === foldCase(given))
  if (task) return [['tokens'], TASKS[task]!, own]
  throw new OnnxError(
    'OPTION_VALUE',
    `\`toolCommand\` ${command} ${given ? `has no task '${given}'` : 'needs a task'}`,
    {
      hint: `Set it: toolCommandArgs=task:${Object.keys(TASKS)[0]}. Tasks: ${Object.keys(TASKS).join(', ')}.`,
    },
  )
}

/** Names that other tools give to arguments, in one case. */
const ALIASES: Readonly<Record<string, string>> = {
  inputshape: 'size',
  targetshape: 'size',
  resizeto: 'resize',
  cropto: 'size',
  crop: 'size',
  nmsthreshold: 'iouThreshold',
  vocabfile: 'tokenizer',
}

export type ProcessingOptions = ParamOutput<typeof params>

/**
 * The steps of both sides, after reading.
 *
 * @throws OnnxError `OPTION_UNKNOWN` or `OPTION_VALUE` for arguments of a tool
 */
export function stepsOf(options: ProcessingOptions): {
  pre: readonly StepValue[]
  post: readonly StepValue[]
} {
  const { preprocess, postprocess, toolCommand, toolCommandArgs = {} } = options
  const [pre, post, own] = toolSteps(toolCommand, toolCommandArgs)
  const known = new Set<string>(own)
  const named = (steps: readonly StepName[]) =>
    steps.flatMap((step) => {
      const given = Object.entries(toolCommandArgs).flatMap(([name, value]) => {
        const key = findKey(stepTable[step]!.params, ALIASES[foldCase(name)] ?? name)
        if (key) known.add(name)
        return key ? [[key, value.replace(/^(\d+)x(\d+)$/, '$1,$2')]] : []
      })
      return parseSteps(stepTable, 'toolCommandArgs', { step, ...Object.fromEntries(given) }, OPTIONS)
    })
  const ready = { pre: named(pre), post: named(post) }
  const unknown = Object.keys(toolCommandArgs).find((name) => !known.has(name))
  if (unknown !== undefined) {
    const all = [...new Set([...pre, ...post].flatMap((step) => Object.keys(stepTable[step]!.params)))]
    const near = nearest(unknown, all)
    throw new OnnxError(
      'OPTION_UNKNOWN',
      `\`toolCommand\` ${toolCommand ?? 'is not set: it'} takes no argument '${unknown}'`,
      {
        hint: all.length
          ? `${near ? `Did you mean '${near}'? ` : ''}Arguments: ${all.join(', ')}.`
          : 'Arguments need a toolCommand.',
      },
    )
  }
  return {
    pre: (preprocess as readonly StepValue[] | undefined) ?? ready.pre,
    post: (postprocess as readonly StepValue[] | undefined) ?? ready.post,
  }
}

/**
 * Puts steps before and after a model into its graph. Runs after everything that changes or measures the model itself: those
 * see its own inputs, for which there are calibration data, and pixels are never quantized or halved.
 */
export const processing: Pass<typeof params> = {
  name: 'processing',
  version: 8,
  doc: 'Puts the steps before and after the model into it: image, sound or text in, labels or boxes out',
  params,
  enabled: ({ preprocess, postprocess, toolCommand, toolCommandArgs }) =>
    [preprocess, postprocess, toolCommand, toolCommandArgs].some((value) => value !== undefined),
  check: (options) => void stepsOf(options),
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
