import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { picture } from '../../../bench/support/pixels.mjs'
import { Tensor } from '../../../src/graph/tensor.ts'
import { buildModel, copyOf } from '../../support/models.ts'
import { evaluate, passingOn, pixels, process } from './support.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'processing-'))
})
afterAll(() => rmSync(folder, { recursive: true }))
const file = () => join(folder, 'model.onnx')

describe('classes', () => {
  const scores = [1, 3, 2, 0, -1, 5]
  const softmax = (list: readonly number[]) => {
    const sum = list.reduce((total, value) => total + Math.exp(value), 0)
    return list.map((value) => Math.exp(value) / sum)
  }

  test('topK: classes, probabilities, labels', async () => {
    writeFileSync(join(folder, 'labels.txt'), 'cat\ndog\nbird\n')
    const model = passingOn(['batch', 3])
    await process(model, { postprocess: 'topK(2,labels:labels.txt)' }, file())
    const y = await evaluate(model, { x: Tensor.float32([2, 3], scores) })
    expect(Object.keys(y)).toEqual(['classes', 'scores', 'labels'])
    expect(y['classes']!.toNumbers()).toEqual([1, 2, 2, 0])
    expect(y['labels']!.toStrings()).toEqual(['dog', 'bird', 'bird', 'cat'])
    const [a, b] = [softmax(scores.slice(0, 3)), softmax(scores.slice(3))]
    const found = y['scores']!.toNumbers()
    for (const [i, wanted] of [a[1]!, a[2]!, b[2]!, b[0]!].entries()) expect(found[i]).toBeCloseTo(wanted, 6)
  })

  test('no more classes than there are, where their number is not known before', async () => {
    const model = passingOn([1, 'classes'])
    await process(model, { postprocess: 'topK(5)' })
    for (const [count, wanted] of [
      [3, 3],
      [9, 5],
    ] as const) {
      const y = await evaluate(model, { x: Tensor.float32([1, count], new Float32Array(count)) })
      expect(y['scores']!.dims).toEqual([1, wanted])
    }
  })

  test('probabilities of the model stay; more classes than there are are not asked for', async () => {
    const model = passingOn([1, 3], { op: 'Softmax' })
    await process(model, { postprocess: 'topK' })
    const y = await evaluate(model, { x: Tensor.float32([1, 3], scores.slice(0, 3)) })
    expect(y['scores']!.toNumbers()[0]).toBeCloseTo(softmax(scores.slice(0, 3))[1]!, 6)
    expect(y['scores']!.dims).toEqual([1, 3])
  })

  test.each([
    ['["cat","dog","bird"]', undefined],
    ['{"id2label":{"0":"cat","1":"dog","2":"bird"}}', undefined],
    ['cat\ndog\n', '2 labels, and the model 3 classes'],
    ['{"0":"cat","2":"bird"}', 'no list of names'],
    ['[1,2', 'no JSON'],
    ['', 'empty'],
  ])('labels %j', async (text, problem) => {
    writeFileSync(join(folder, 'names.json'), text)
    const model = passingOn([1, 3])
    const done = process(model, { postprocess: 'topK(1,labels:names.json)' }, file())
    if (problem)
      await expect(done).rejects.toMatchObject({ code: 'LABELS_INVALID', what: expect.stringContaining(problem) })
    else {
      await done
      const y = await evaluate(model, { x: Tensor.float32([1, 3], [1, 3, 2]) })
      expect(y['labels']!.toStrings()).toEqual(['dog'])
    }
  })

  test('softmax keeps the name; argMax; an output that is not there', async () => {
    const model = passingOn([1, 3])
    await process(model, { postprocess: ['softmax', { ArgMax: { axis: -1, keepdims: 1 } }] })
    expect((await evaluate(model, { x: Tensor.float32([1, 3], [1, 3, 2]) }))['y']!.toNumbers()).toEqual([1])
    await expect(process(passingOn([1, 3]), { postprocess: 'topK(output:z)' })).rejects.toMatchObject({
      code: 'PROCESSING_OUTPUT',
    })
    await expect(process(passingOn([1, 3], { dtype: 'int64' }), { postprocess: 'topK' })).rejects.toMatchObject({
      code: 'PROCESSING_STEPS',
    })
  })

  test('answer: the best span that is in order and short enough', async () => {
    const model = copyOf(
      buildModel(18, (graph, input) =>
        ['start', 'end'].map((name) =>
          graph.insert({ op: 'Identity', inputs: [input(name, [1, 'n'])], outputs: [`${name}_logits`] }).output(),
        ),
      ),
    )
    await process(model, { postprocess: 'answer(3)' })
    const y = await evaluate(model, {
      start: Tensor.float32([1, 6], [0, 4, 0, 0, 0, 5]),
      end: Tensor.float32([1, 6], [6, 0, 0, 3, 7, 0]),
    })
    // The best of all would be 1 to 4, which is four tokens long.
    expect([y['start_1'] ?? y['start'], y['end_1'] ?? y['end']].map((value) => value!.toNumbers())).toEqual(
      [[[1], [3]]].flat(),
    )
  })
})

test('answer: the question is not searched', async () => {
  const model = copyOf(
    buildModel(18, (graph, input) => {
      const outputs = ['a', 'b'].map((name) =>
        graph.insert({ op: 'Identity', inputs: [input(name, [1, 'n'])], outputs: [`${name}_logits`] }).output(),
      )
      input('token_type_ids', [1, 'n'], 'int64')
      return outputs
    }),
  )
  await process(model, { postprocess: 'answer' })
  const y = await evaluate(model, {
    a: Tensor.float32([1, 5], [9, 0, 0, 4, 0]),
    b: Tensor.float32([1, 5], [0, 9, 0, 0, 4]),
    token_type_ids: Tensor.int64([0, 0, 1, 1, 1], [1, 5]),
  })
  expect([y['start']!.toNumbers(), y['end']!.toNumbers()]).toEqual([[3], [4]])
})

describe('boxes', () => {
  /** Four boxes in a picture of 64 x 64 (of which 64 x 32 is the image), two of them nearly the same. */
  const boxes = [
    [16, 32, 16, 8, 0.9, 0.1],
    [17, 32, 16, 8, 0.8, 0.1],
    [48, 30, 8, 12, 0.1, 0.7],
    [30, 30, 8, 8, 0.2, 0.2],
  ]
  const photo = picture(128, 64)
  async function run(postprocess: string, later: boolean) {
    const rows = later ? boxes : boxes.map(([x, y, w, h, ...scores]) => [x!, y!, w!, h!, 1, ...scores])
    const dims = later ? [1, 6, 4] : [1, 4, 7]
    const data = later ? boxes[0]!.flatMap((_, i) => boxes.map((box) => box[i]!)) : rows.flat()
    const model = copyOf(
      buildModel(18, (graph, input) => {
        const x = input('x', [1, 3, 64, 64])
        const zero = graph.insert({ op: 'ReduceSum', inputs: [x] }).output()
        const times = graph
          .insert({ op: 'Mul', inputs: [zero, graph.addInitializer('z', Tensor.float32([], [0]))] })
          .output()
        const flat = graph.insert({
          op: 'Reshape',
          inputs: [times, graph.addInitializer('one', Tensor.int64([1, 1, 1]))],
        })
        const table = graph.addInitializer('boxes', Tensor.float32(dims, data))
        return [graph.insert({ op: 'Add', inputs: [table, flat.output()], outputs: ['y'] }).output()]
      }),
    )
    await process(model, { preprocess: 'yolo', postprocess })
    return evaluate(model, { x: pixels(photo) })
  }

  test.each([true, false])(
    'detections, later layout %s: the best of each class, in pixels of the image',
    async (later) => {
      const format = later ? 'yolov8' : 'yolov5'
      const y = await run(`detections(scoreThreshold:0.3,format:${format},draw:true)`, later)
      expect(y['classes']!.toNumbers()).toEqual([0, 1])
      expect(y['scores']!.toNumbers().map((score) => Math.round(score * 100))).toEqual([90, 70])
      // 16 rows of padding above, and half the size.
      expect(y['boxes']!.toNumbers()).toEqual([16, 24, 48, 40, 88, 16, 104, 40])
      expect(y['image']!.dims).toEqual([64, 128, 3])
      const pixel = (row: number, column: number) =>
        y['image']!.toNumbers().slice((row * 128 + column) * 3, (row * 128 + column) * 3 + 3)
      const original = (row: number, column: number) => [
        ...photo.data.slice((row * 128 + column) * 4, (row * 128 + column) * 4 + 3),
      ]
      expect(pixel(32, 30)).toEqual(original(32, 30))
      expect(pixel(2, 2)).toEqual(original(2, 2))
      expect(pixel(24, 30)).toEqual(pixel(40, 20))
      expect(pixel(24, 30)).not.toEqual(pixel(16, 95))
    },
  )

  test('nothing above the threshold gives no boxes', async () => {
    const y = await run('detections(scoreThreshold:0.95,format:yolov8,draw:true)', true)
    expect(y['boxes']!.dims).toEqual([0, 4])
    expect(y['image']!.toNumbers()).toEqual([...photo.data.filter((_, i) => i % 4 < 3)])
  })

  test('the steps one by one', async () => {
    const y = await run(
      'squeeze(0),transpose([1,0]),splitOutBoxAndScore(2),selectBestBoundingBoxesByNMS(scoreThreshold:0.3,maxDetections:1),scaleNMSBoundingBoxesAndKeyPoints,drawBoundingBoxes',
      true,
    )
    expect(Object.keys(y)).toEqual(['image', 'detections'])
    expect(y['detections']!.toNumbers().map((value) => Math.round(value * 100) / 100)).toEqual([32, 32, 32, 16, 0.9, 0])
  })
})
