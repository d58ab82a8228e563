import { describe, expect, test } from 'vitest'
import { picture } from '../../../bench/support/pixels.mjs'
import { Tensor } from '../../../src/graph/tensor.ts'
import { boxesModel } from '../../support/boxes-model.ts'
import { buildModel, copyOf } from '../../support/models.ts'
import { apart, evaluate, passingOn, pixels, process } from './support.ts'

const photo = picture(120, 90)
const dim = (index: number) => ({ type: '__model_output__', output_index: -1, dim_index: index })

describe('steps that name where their inputs come from', () => {
  test('brightness through the model, colours beside it: the same as superresolution', async () => {
    const whole = passingOn([1, 1, 64, 96])
    await process(whole, { toolCommand: 'superresolution' })
    const single = passingOn([1, 1, 64, 96])
    const size = { type: 'tuple', value: [dim(-2), dim(-1)] }
    const colour = (output: number) => ({
      Resize: {
        params: { resize_to: size, policy: 'stretch', interpolation: 'cubic', layout: 'HW', name: `colour${output}` },
        io_map: [['PixelsToYCbCr', output, 0]],
      },
    })
    await process(single, {
      preprocess: [
        { ConvertImageToBGR: { name: 'BGRImageHWC' } },
        { Resize: { resize_to: { type: 'tuple', value: [64, 96] }, interpolation: 'cubic' } },
        { CenterCrop: { height: 64, width: 96 } },
        { PixelsToYCbCr: { layout: 'BGR' } },
        { ImageBytesToFloat: {} },
        { Unsqueeze: { axes: [0, 1] } },
      ],
      postprocess: [
        { Squeeze: { axes: [0, 1] } },
        { FloatToImageBytes: { name: 'Y1_uint8' } },
        colour(1),
        colour(2),
        {
          YCbCrToPixels: {
            params: { layout: 'BGR' },
            io_map: [
              ['Y1_uint8', 0, 0],
              ['colour1', 0, 1],
              ['colour2', 0, 2],
            ],
          },
        },
        { ConvertBGRToImage: { image_format: 'png' } },
      ],
    })
    const [a, b] = [await evaluate(whole, { x: pixels(photo) }), await evaluate(single, { x: pixels(photo) })]
    expect(Object.keys(b)).toEqual(['image'])
    expect(b['image']!.dims).toEqual([64, 96, 3])
    expect(apart(a['image']!.toNumbers(), b['image']!.toNumbers())).toBeLessThanOrEqual(1)
  })

  // 120 x 90 becomes 64 x 48, with 8 rows above.
  const rows = [
    [16, 32, 16, 8, 1, 0.9, 0.1, 16, 20, 0.5, 24, 30, 0.75],
    [17, 32, 16, 8, 1, 0.8, 0.1, 0, 0, 0, 0, 0, 0],
    [48, 30, 8, 12, 1, 0.1, 0.7, 48, 8, 1, 40, 56, 0.25],
  ]
  const before = [
    { ConvertImageToBGR: { name: 'BGRImageHWC' } },
    { Resize: { resize_to: [64, 64], policy: 'not_larger', layout: 'HWC' } },
    { LetterBox: { target_shape: [64, 64], layout: 'HWC' } },
    { ChannelsLastToChannelsFirst: {} },
    { ImageBytesToFloat: {} },
    { Unsqueeze: { axes: [0] } },
  ]
  const back = {
    io_map: [
      ['BGRImageHWC', 0, 1],
      ['Resize', 0, 2],
      ['LetterBox', 0, 3],
    ],
  }

  test('boxes are scaled by the images that are named, and drawn on one of them', async () => {
    const model = boxesModel(rows.map((row) => row.slice(0, 7)))
    await process(model, {
      preprocess: before,
      postprocess: [
        { Squeeze: { axes: [0] } },
        { SplitOutBoxAndScoreWithConf: { num_classes: 2 } },
        { SelectBestBoundingBoxesByNMS: { iou_threshold: 0.5, score_threshold: 0.3 } },
        { ScaleNMSBoundingBoxesAndKeyPoints: { params: { num_key_points: 0, layout: 'HWC' }, ...back } },
        {
          DrawBoundingBoxes: {
            params: { mode: 'CENTER_XYWH', num_classes: 2, name: 'drawn' },
            io_map: [
              ['BGRImageHWC', 0, 0],
              ['ScaleNMSBoundingBoxesAndKeyPoints', 0, 1],
            ],
          },
        },
        { ConvertBGRToImage: { image_format: 'jpg' } },
      ],
    })
    const y = await evaluate(model, { x: pixels(photo) })
    expect(y['image']!.dims).toEqual([90, 120, 3])
    const own = boxesModel(rows.map((row) => row.slice(0, 7)))
    await process(own, {
      preprocess: 'yolo',
      postprocess: 'detections(format:yolov5,draw:true,scoreThreshold:0.3,iouThreshold:0.5)',
    })
    const { image } = await evaluate(own, { x: pixels(photo) })
    const [found, wanted] = [y['image']!.toNumbers(), image!.toNumbers()]
    const original = photo.data.filter((_, i) => i % 4 < 3)
    // The colours are others, as there are fewer; lines are in the same places.
    const isDrawn = (list: readonly number[]) => original.map((value, i) => Number(list[i] !== value))
    const lines = isDrawn(wanted).reduce((sum, one) => sum + one, 0)
    expect(lines).toBeGreaterThan(500)
    const [a, b] = [isDrawn(found), isDrawn(wanted)]
    expect(a.filter((one, i) => one !== b[i]).length).toBeLessThan(lines / 5)
  })

  /** Where a position that the model saw is in the original. */
  const original = (x: number, y: number) => [x * (120 / 64), (y - 8) * (90 / 48)]
  const points = [rows[0]!, rows[2]!].map((row) => [
    [...original(row[7]!, row[8]!), row[9]!],
    [...original(row[10]!, row[11]!), row[12]!],
  ])

  test.each(['yolov5', 'yolov8'])('key points of %s go with their boxes, in pixels of the original', async (format) => {
    const flat = format === 'yolov5' ? rows : rows.map(([x, y, w, h, , ...rest]) => [x!, y!, w!, h!, ...rest])
    const model = boxesModel(format === 'yolov5' ? flat : flat[0]!.map((_, i) => flat.map((row) => row[i]!)))
    await process(model, {
      preprocess: 'yolo',
      postprocess: `detections(format:${format},keyPoints:2,scoreThreshold:0.3)`,
    })
    const y = await evaluate(model, { x: pixels(photo) })
    expect(Object.keys(y)).toEqual(['boxes', 'scores', 'classes', 'keypoints'])
    expect(y['keypoints']!.dims).toEqual([2, 2, 3])
    expect(apart(y['keypoints']!.toNumbers(), points.flat(2))).toBeLessThan(1e-4)
    const none = await evaluate(model, { x: pixels({ ...photo, data: photo.data.map(() => 0) }) })
    expect(none['keypoints']!.dims).toEqual([2, 2, 3])
  })

  test('no box, no key points', async () => {
    const model = boxesModel(rows)
    await process(model, { preprocess: 'yolo', postprocess: 'detections(format:yolov5,keyPoints:2,scoreThreshold:1)' })
    const y = await evaluate(model, { x: pixels(photo) })
    expect(y['keypoints']!.dims).toEqual([0, 2, 3])
  })

  test('the same one by one: numbers behind scores stay with their box', async () => {
    const model = boxesModel(rows)
    await process(model, {
      preprocess: before,
      postprocess: [
        { Squeeze: { axes: [0] } },
        { Split: { num_outputs: 2, axis: -1, splits: [7, 6] } },
        { SplitOutBoxAndScoreWithConf: { num_classes: 2 } },
        { SelectBestBoundingBoxesByNMS: { score_threshold: 0.3, has_mask_data: true } },
        { ScaleNMSBoundingBoxesAndKeyPoints: { params: { num_key_points: 2, layout: 'HWC' }, ...back } },
      ],
    })
    const { detections } = await evaluate(model, { x: pixels(photo) })
    expect(detections!.dims).toEqual([2, 12])
    const found = detections!.toNumbers()
    expect(apart([...found.slice(6, 12), ...found.slice(18)], points.flat(2))).toBeLessThan(1e-4)
    expect(apart(found.slice(0, 6), [...original(16, 32), 16 * (120 / 64), 8 * (90 / 48), 0.9, 0])).toBeLessThan(1e-4)
  })

  test('boxes that the model has already chosen: corners, score, class', async () => {
    const model = boxesModel([
      [8, 28, 24, 36, 0.4, 1],
      [44, 24, 52, 36, 0.9, 0],
      [0, 0, 9, 9, 0.1, 0],
    ])
    await process(model, { preprocess: 'yolo', postprocess: 'detections(format:endToEnd)' })
    const y = await evaluate(model, { x: pixels(photo) })
    expect(y['classes']!.toNumbers()).toEqual([0, 1])
    const wanted = [...original(44, 24), ...original(52, 36), ...original(8, 28), ...original(24, 36)]
    expect(apart(y['boxes']!.toNumbers(), wanted)).toBeLessThan(1e-4)
  })
})

describe('split and debug', () => {
  test('parts of equal size, or as said; debug shows what comes by', async () => {
    const model = passingOn([1, 7])
    await process(model, { postprocess: 'debug,split(numOutputs:3,axis:-1),debug(1),softmax' })
    const y = await evaluate(model, { x: Tensor.float32([1, 7], [0, 1, 2, 3, 4, 5, 6]) })
    expect(Object.fromEntries(Object.entries(y).map(([name, { dims }]) => [name, dims]))).toEqual({
      output: [1, 3],
      output_1: [1, 3],
      output_2: [1, 1],
      debug_the_output_y_of_the_model: [1, 7],
      debug_split: [1, 3],
    })
    expect(y['debug_split']!.toNumbers()).toEqual([0, 1, 2])
  })

  test('before the model too; parts go to its inputs in order', async () => {
    const model = copyOf(
      buildModel(18, (graph, input) => [
        graph.insert({ op: 'Sub', inputs: [input('a', ['n']), input('b', ['n'])], outputs: ['y'] }).output(),
      ]),
    )
    await process(model, { preprocess: 'audio(4,input:a),debug' })
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(['y', 'debug_audio'])
  })

  test.each([
    ['split(axis:1)', 'needs numOutputs or splits'],
    ['split(splits:[3,3],axis:1)', 'cannot cut 7 into 2 parts of [3,3]'],
    ['split(numOutputs:9,axis:1)', 'cannot cut 7 into 9 parts'],
    ['squeeze([1])', 'and one of [1,7] is 7'],
    [{ ArgMax: { params: {}, io_map: [['softmaxx', 0, 0]] } }, 'no step before it is called so'],
    [['softmax', { ArgMax: { io_map: [['softmax', 3, 0]] } }], "output 3 of 'softmax', which has 1"],
    [['softmax', 'softmax', { ArgMax: { io_map: [['softmax', 0, 0]] } }], '2 steps are called so'],
    [['softmax', { ArgMax: { io_map: [['softmax', 0, 2]] } }], 'gets nothing for its input 1'],
    [{ Transpose: { perms: [dim(-1), dim(5)] } }, 'takes dim 5'],
  ])('%j', async (postprocess, text) => {
    await expect(process(passingOn([1, 7]), { postprocess })).rejects.toMatchObject({
      code: 'PROCESSING_STEPS',
      message: expect.stringContaining(text),
    })
  })

  test.each(['BertTokenizer', 'sentence_piece_tokenizer', 'BertTokenizerQADecoder'])(
    '%s is refused with what to do instead',
    async (step) => {
      await expect(process(passingOn([1, 7]), { preprocess: step })).rejects.toMatchObject({
        code: 'OPTION_VALUE',
        hint: expect.stringMatching(/tokens\(|answer/),
      })
    },
  )

  test('means and deviations as pairs', async () => {
    const results = []
    for (const step of [
      'normalize(mean:[1,2,3],std:[4,5,6])',
      {
        Normalize: {
          normalization_values: [
            [1, 4],
            [2, 5],
            [3, 6],
          ],
          layout: 'HWC',
        },
      },
    ]) {
      const model = passingOn(['h', 'w', 3])
      await process(model, { preprocess: step })
      results.push((await evaluate(model, { x: pixels(photo) }))['y']!.toNumbers())
    }
    expect(results[0]).toEqual(results[1])
  })
})
