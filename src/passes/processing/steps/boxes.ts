import type { Value } from '../../../graph/value.ts'
import type { Arguments, Context, Step } from '../context.ts'
import { type Detections, expect, type Flow, mismatch, type Plain } from '../flow.ts'
import { labelsOf } from './classes.ts'
import { draw } from './drawing.ts'
import { sizeIn } from './geometry.ts'
import { plain } from './tensors.ts'

/** [..., 4 (+ 1) + classes] without batch: boxes [n, 4] and scores [n, classes]. */
function split(rows: Value, confidence: boolean, { ops }: Context): [boxes: Value, scores: Value] {
  const end = [Number.MAX_SAFE_INTEGER]
  const boxes = ops.slice(rows, -1, [0], [4])
  const scores = ops.slice(rows, -1, [confidence ? 5 : 4], end)
  return [boxes, confidence ? ops.op('Mul', [scores, ops.slice(rows, -1, [4], [5])]) : scores]
}

const splitStep =
  (confidence: boolean): Step =>
  ([flow, ...rest], { numClasses }, context, name) => {
    const { value, shape, dtype } = expect(name, flow, 'tensor')
    const width = shape?.at(-1)
    const wanted = (confidence ? 5 : 4) + ((numClasses as number | undefined) ?? Number.NaN)
    if (typeof width === 'number' && numClasses !== undefined && width !== wanted)
      throw mismatch(name, `splits ${wanted} numbers per box, and '${flow!.by}' gives ${width}`)
    const [boxes, scores] = split(value, confidence, context)
    return [plain(boxes, dtype, name, 'boxes'), plain(scores, dtype, name, 'scores'), ...rest]
  }

/** Boxes (centre, size) [n, 4] and scores [n, classes], perhaps with a batch of one: the best as [k, 6], best first. */
function select(boxes: Value, scores: Value, args: Arguments, { ops }: Context): Value {
  const flat = (value: Value, width: Value) =>
    ops.op('Reshape', [value, ops.op('Concat', [ops.ints([-1]), width], { axis: 0 })])
  const rows = flat(boxes, ops.ints([4]))
  const classes = ops.op('Transpose', [flat(scores, ops.sizes(scores, -1, Number.MAX_SAFE_INTEGER))], { perm: [1, 0] })
  const perClass = (args['maxBoxesPerClass'] ?? args['maxDetections'] ?? 100) as number
  const chosen = ops.op(
    'NonMaxSuppression',
    [
      ops.op('Unsqueeze', [rows, [0]]),
      ops.op('Unsqueeze', [classes, [0]]),
      [perClass],
      ops.floats([args['iouThreshold'] as number]),
      ops.floats([args['scoreThreshold'] as number]),
    ],
    { center_point_box: 1 },
  )
  const at = ops.slice(chosen, 1, [1], [3])
  const score = ops.op('GatherND', [classes, at])
  const number = ops.cast(ops.slice(at, 1, [0], [1]), 'float32')
  const box = ops.op('Gather', [rows, ops.op('Squeeze', [ops.slice(at, 1, [1], [2]), [1]])])
  const found = ops.op('Concat', [box, ops.op('Unsqueeze', [score, [1]]), number], { axis: 1 })
  const count = ops.sizes(score, 0, 1)
  const most = args['maxDetections'] as number | undefined
  const kept = most === undefined ? count : ops.op('Min', [count, ops.ints([most])])
  const order = ops.ops('TopK', [score, kept], 2)[1]!
  return ops.op('Gather', [found, order])
}

/** Boxes in pixels of the original. */
function unscaled({ value, corners, ...flow }: Detections, context: Context): Detections {
  const { ops, scale, offset } = context
  if (!scale && !offset) return { ...flow, value, corners }
  const swap = (pair: Value) => ops.op('Gather', [pair, [1, 0]])
  const four = (pair: Value) => {
    const xy = swap(pair)
    return ops.op('Concat', [xy, xy], { axis: 0 })
  }
  const [box, rest] = [ops.slice(value, 1, [0], [4]), ops.slice(value, 1, [4], [6])]
  const centred = offset && ops.op('Concat', [swap(offset), ops.floats([0, 0])], { axis: 0 })
  const moved = offset ? ops.op('Sub', [box, corners ? four(offset) : centred!]) : box
  const sized = scale ? ops.op('Div', [moved, four(scale)]) : moved
  return { ...flow, corners, value: ops.op('Concat', [sized, rest], { axis: 1 }) }
}

/** Boxes as x1, y1, x2, y2, inside the original where there is one. */
function cornered({ value, corners, ...flow }: Detections, context: Context): Detections {
  const { ops, original } = context
  let box = ops.slice(value, 1, [0], [4])
  if (!corners) {
    const [centre, half] = [ops.slice(box, 1, [0], [2]), ops.op('Mul', [ops.slice(box, 1, [2], [4]), ops.floats(0.5)])]
    box = ops.op('Concat', [ops.op('Sub', [centre, half]), ops.op('Add', [centre, half])], { axis: 1 })
  }
  if (original) {
    const size = ops.op('Gather', [ops.cast(sizeIn(original, context), 'float32'), [1, 0, 1, 0]])
    box = ops.op('Min', [ops.op('Max', [box, ops.floats(0)]), size])
  }
  return { ...flow, corners: true, value: ops.op('Concat', [box, ops.slice(value, 1, [4], [6])], { axis: 1 }) }
}

function columns(flow: Detections, labels: unknown, classes: unknown, context: Context, name: string): Flow[] {
  const { ops } = context
  const { value } = cornered(flow, context)
  const column = (at: number) => ops.op('Squeeze', [ops.slice(value, 1, [at], [at + 1]), [1]])
  const numbers = ops.cast(column(5), 'int64')
  return [
    plain(ops.slice(value, 1, [0], [4]), 'float32', name, 'boxes'),
    plain(column(4), 'float32', name, 'scores'),
    plain(numbers, 'int64', name, 'classes'),
    ...labelsOf(numbers, labels, classes, context),
  ]
}

const detections: Step = ([flow, ...rest], args, context, name) => {
  const { value, shape, dtype } = expect(name, flow, 'tensor')
  const { ops } = context
  if (shape && shape.length !== 3) throw mismatch(name, `takes [1, ..., ...], and '${flow!.by}' gives [${shape}]`)
  const [batch, second, third] = shape ?? []
  if (typeof batch === 'number' && batch !== 1)
    throw mismatch(name, `takes one image, and '${flow!.by}' gives ${batch}`)
  const known = typeof second === 'number' && typeof third === 'number'
  const guess = known && second > third ? 'yolov5' : 'yolov8'
  const isLater = (args['format'] ?? guess) === 'yolov8'
  const floats = dtype === 'float32' ? value : ops.cast(value, 'float32')
  const plane = ops.op('Squeeze', [floats, [0]])
  const rows = isLater ? ops.op('Transpose', [plane], { perm: [1, 0] }) : plane
  const [boxes, scores] = split(rows, !isLater, context)
  const count = isLater ? second : third
  const classes = typeof count === 'number' ? count - (isLater ? 4 : 5) : undefined
  if (classes !== undefined && classes < 1)
    throw mismatch(name, `finds no classes in [${shape}]`, 'Set format=yolov8 or yolov5.')
  const best: Detections = {
    kind: 'detections',
    value: select(boxes, scores, args, context),
    dtype: 'float32',
    corners: false,
    by: name,
  }
  const scaled = unscaled(best, context)
  const picture = args['draw']
    ? [drawn(scaled, { thickness: 4, numClasses: 10, colourByClasses: true }, context, name)]
    : []
  return [...columns(scaled, args['labels'], classes, context, name), ...picture, ...rest]
}

function drawn(flow: Detections, args: Arguments, context: Context, name: string): Flow {
  if (!context.original)
    throw mismatch(
      name,
      'draws on the original image, and no image goes into the model',
      'Preprocess with image steps.',
    )
  const image = draw(cornered(flow, context).value, context.original, args, context)
  return { ...image, by: name, name: 'image' }
}

export const boxSteps: Readonly<Record<string, Step>> = {
  detections,
  splitOutBoxAndScore: splitStep(false),
  splitOutBoxAndScoreWithConf: splitStep(true),
  selectBestBoundingBoxesByNMS: ([boxes, scores, ...rest], args, context, name) => {
    const [box, score] = [expect(name, boxes, 'tensor'), expect(name, scores, 'tensor')] as [Plain, Plain]
    const value = select(box.value, score.value, args, context)
    return [{ kind: 'detections', value, dtype: 'float32', corners: false, by: name, name: 'detections' }, ...rest]
  },
  scaleNMSBoundingBoxesAndKeyPoints: ([flow, ...rest], _, context, name) => [
    { ...unscaled(expect(name, flow, 'detections'), context), by: name },
    ...rest,
  ],
  splitDetections: ([flow, ...rest], { labels }, context, name) => [
    ...columns(expect(name, flow, 'detections'), labels, undefined, context, name),
    ...rest,
  ],
  drawBoundingBoxes: ([flow, ...rest], args, context, name) => {
    const boxes = expect(name, flow, 'detections')
    const { ops } = context
    const [first, second] = [ops.slice(boxes.value, 1, [0], [2]), ops.slice(boxes.value, 1, [2], [4])]
    const after = ops.slice(boxes.value, 1, [4], [6])
    const sized = ops.op('Concat', [first, ops.op('Add', [first, second]), after], { axis: 1 })
    const given =
      args['mode'] === 'XYWH'
        ? { ...boxes, value: sized, corners: true }
        : { ...boxes, corners: args['mode'] === 'XYXY' }
    return [drawn(given, args, context, name), boxes, ...rest]
  },
}
