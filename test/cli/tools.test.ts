import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { picture } from '../../bench/support/pixels.mjs'
import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { createOrtService } from '../../src/ort/service.ts'
import type { BuildReport } from '../../src/pipeline/types.ts'
import { passingOn, pixels } from '../passes/processing/support.ts'
import { boxesModel } from '../support/boxes-model.ts'
import { buildModel, bytesOf, copyOf } from '../support/models.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { writeTokenizer } from '../support/tokenizer.ts'
import { cli } from './support.ts'

const photo = pixels(picture(120, 90))

/** Three scores, the means of the channels of an image. */
function scores(): Model {
  return copyOf(
    buildModel(18, (graph, input) => {
      const axes = graph.addInitializer('axes', Tensor.int64([2, 3]))
      const mean = graph.insert({ op: 'ReduceMean', inputs: [input('x', ['n', 3, 224, 224]), axes] }).output()
      const two = graph.addInitializer('two', Tensor.int64([2, 3]))
      return [graph.insert({ op: 'Squeeze', inputs: [mean, two], outputs: ['y'] }).output()]
    }),
  )
}

/** Two boxes as yolov5 has them. */
const BOXES = [
  [32, 32, 8, 8, 1, 0.9, 0.1],
  [32, 32, 8, 8, 1, 0.3, 0.1],
]

/** Outputs of a model of text, each a row of numbers per token or per text. */
function text(outputs: readonly string[]): Model {
  return copyOf(
    buildModel(18, (graph, input) => {
      const [ids] = ['input_ids', 'attention_mask', 'token_type_ids'].map((name) =>
        input(name, ['batch', 'n'], 'int64'),
      )
      const table = graph.addInitializer(
        'table',
        Tensor.float32(
          [11],
          Float32Array.from({ length: 11 }, (_, i) => i),
        ),
      )
      return outputs.map((name) => graph.insert({ op: 'Gather', inputs: [table, ids!], outputs: [name] }).output())
    }),
  )
}

async function build(model: Model, ...args: string[]) {
  const folder = temporaryFolder()
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{}')
  writeFileSync(join(folder, 'm.onnx'), bytesOf(model))
  writeTokenizer(folder)
  const { code, out, err } = await cli(folder, 'build', 'm.onnx', '--json', ...args)
  const evaluate = async (feeds: Record<string, Tensor>) => {
    expect([code, err]).toEqual([0, ''])
    const session = await createOrtService().open((JSON.parse(out) as BuildReport[])[0]!.output!)
    try {
      return await session.run(feeds)
    } finally {
      await session.release()
    }
  }
  return { code, out, err, evaluate }
}
const tool = (name: string, args?: string) => ['--tool-command', name, ...(args ? ['--tool-command-args', args] : [])]

describe('tools by name', () => {
  test.each([
    ['imagenet', undefined],
    ['mobilenet', 'resize:256,crop_to:224'],
    ['mobilenet', 'resize_to:256'],
  ])('%s %s: probabilities of an image of any size', async (name, args) => {
    const { code, evaluate } = await build(scores(), ...tool(name, args))
    expect(code).toBe(0)
    const { y } = await evaluate({ x: photo })
    expect(y!.dims).toEqual([1, 3])
    expect(y!.toNumbers().reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5)
  })

  test('superresolution', async () => {
    const { evaluate } = await build(passingOn([1, 1, 64, 96]), ...tool('superresolution', 'interpolation:linear'))
    expect((await evaluate({ x: photo }))['image']).toMatchObject({ dims: [64, 96, 3], dtype: 'uint8' })
  })

  test.each(['yolo', 'yolo_detection'])('%s', async (name) => {
    const args = 'format:yolov5,input_shape:64x64,score_threshold:0.5,nms_threshold:0.4,draw:true'
    const { evaluate } = await build(boxesModel(BOXES), ...tool(name, args))
    const y = await evaluate({ x: photo })
    expect(Object.keys(y)).toEqual(['boxes', 'scores', 'classes', 'image'])
    expect(y['boxes']!.toNumbers().map((value) => Math.round(value * 100) / 100)).toEqual([52.5, 37.5, 67.5, 52.5])
    expect(y['image']!.dims).toEqual([90, 120, 3])
  })

  test('whisper', async () => {
    const { evaluate } = await build(passingOn([1, 128, 3000]), ...tool('whisper', 'mels:128'))
    expect((await evaluate({ x: Tensor.float32([16_000], new Float32Array(16_000)) }))['y']!.dims).toEqual([
      1, 128, 3000,
    ])
  })

  test('transformers_and_bert', async () => {
    const ids = Tensor.int64([2, 4, 9, 3], [1, 4])
    const feeds = {
      input_ids: ids,
      attention_mask: Tensor.int64([1, 1, 1, 1], [1, 4]),
      token_type_ids: Tensor.int64([0, 0, 1, 1], [1, 4]),
    }
    const bert = (task: string) => tool('transformers_and_bert', `task:${task},max_length:8`)
    const answers = await build(text(['start', 'end']), ...bert('QuestionAnswering'))
    expect((await answers.evaluate(feeds))['start']!.toNumbers()).toEqual([2])
    const classes = await build(text(['logits']), ...bert('sequence_classification'))
    expect((await classes.evaluate(feeds))['classes']!.toNumbers()).toEqual([2, 1, 3, 0])
    const next = await build(text(['logits']), ...bert('NextSentencePrediction'))
    expect((await next.evaluate(feeds))['logits']!.toNumbers()).toEqual([2])
  })

  test.each([
    [tool('mobilenett'), "Did you mean 'mobilenet'"],
    [tool('yolo', 'iou_treshold:0.5'), "Did you mean 'iouThreshold'? Arguments: size, resize, fit"],
    [tool('transformers_and_bert'), 'Tasks: QuestionAnswering, SequenceClassification, NextSentencePrediction'],
    [tool('transformers_and_bert', 'task:Translation'), "no task 'Translation'"],
    [['--tool-command-args', 'size:3'], 'Arguments need a toolCommand'],
    [tool('superresolution', 'interpolation:best'), 'linear, cubic or nearest'],
  ])('%j is refused', async (args, what) => {
    const { code, out, err } = await build(scores(), ...args)
    expect(code).toBeGreaterThan(0)
    expect(out + err).toContain(what)
  })
})
