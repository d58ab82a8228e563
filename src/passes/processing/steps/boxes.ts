import type { Dim } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Arguments, type Context, needsOne, type Step } from '../context.ts'
import { type Detections, expect, type Flow, type Image, mismatch, type Plain } from '../flow.ts'
import type { Operators } from '../operators.ts'
import { labelsOf } from './classes.ts'
import { draw } from './drawing.ts'
import { sizeIn } from './geometry.ts'
import { plain } from './tensors.ts'

const END = [Number.MAX_SAFE_INTEGER]

/** [..., 4 (+ 1) + classes + more] without batch: boxes [n, 4], scores [n, classes], and the rest where there is one. */
function split(rows: Value, confidence: boolean, more: number, { ops }: Context): [Value, Value, Value | undefined] {
  const boxes = ops.slice(rows, -1, [0], [4])
  const scores = ops.slice(rows, -1, [confidence ? 5 : 4], more ? [-more] : END)
  const rest = more ? ops.slice(rows, -1, [-more], END) : undefined
  return [boxes, confidence ? ops.op('Mul', [scores, ops.slice(rows, -1, [4], [5])]) : scores, rest]
}

const splitStep =
  (confidence: boolean): Step =>
  ([flow, ...rest], { numClasses }, context, name) => {
    const { value, shape, dtype } = expect(name, flow, 'tensor')
    const width = shape?.at(-1)
    const wanted = (confidence ? 5 : 4) + ((numClasses as number | undefined) ?? Number.NaN)
    if (typeof width === 'number' && numClasses !== undefined && width !== wanted)
      throw mismatch(name, `splits ${wanted} numbers per box, and '${flow!.by}' gives ${width}`)
    const [boxes, scores] = split(value, confidence, 0, context)
    return [plain(boxes, dtype, name, 'boxes'), plain(scores, dtype, name, 'scores'), ...rest]
  }

/**
 * Boxes (centre, size) [n, 4] and scores [n, classes], perhaps with a batch of one: the best as [k, 6], best first. What else there
 * is per box, [n, m], comes behind.
 */
function select(boxes: Value, scores: Value, more: Value | undefined, args: Arguments, { ops }: Context): Value {
  const flat = (value: Value, width: Value) =>
    ops.op('Reshape', [value, ops.op('Concat', [ops.ints([-1]), width], { axis: 0 })])
  const wide = (value: Value) => flat(value, ops.sizes(value, -1, Number.MAX_SAFE_INTEGER))
  const rows = flat(boxes, ops.ints([4]))
  const classes = ops.op('Transpose', [wide(scores)], { perm: [1, 0] })
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
  const row = ops.op('Squeeze', [ops.slice(at, 1, [1], [2]), [1]])
  const parts = [ops.op('Gather', [rows, row]), ops.op('Unsqueeze', [score, [1]]), number]
  if (more) parts.push(ops.op('Gather', [wide(more), row]))
  return best(ops.op('Concat', parts, { axis: 1 }), args['maxDetections'] as number | undefined, ops)
}

/** Boxes [n, 6 + ...] by score, at most so many. */
function best(found: Value, most: number | undefined, ops: Operators): Value {
  const score = ops.op('Squeeze', [ops.slice(found, 1, [4], [5]), [1]])
  const count = ops.sizes(score, 0, 1)
  const kept = most === undefined ? count : ops.op('Min', [count, ops.ints([most])])
  return ops.op('Gather', [found, ops.ops('TopK', [score, kept], 2)[1]!])
}

/** How what the model saw lies on the original, as [y, x]: position * scale + offset. */
type Placement = Pick<Context, 'scale' | 'offset'>

/** The placement by the images themselves: the original, the same resized, and that with its padding. */
function placement([original, resized, padded]: readonly Image[], context: Context): Placement {
  const { ops } = context
  const size = (image: Image) => ops.cast(sizeIn(image, context), 'float32')
  const half = ops.op('Mul', [ops.op('Sub', [size(padded!), size(resized!)]), ops.floats(0.5)])
  return { scale: ops.op('Div', [size(resized!), size(original!)]), offset: ops.op('Floor', [half]) }
}

/** Boxes, and key points behind them, in pixels of the original. */
function unscaled(
  { value, corners, ...flow }: Detections,
  points: number,
  context: Context,
  { scale, offset }: Placement = context,
): Detections {
  const { ops } = context
  if (!scale && !offset) return { ...flow, value, corners }
  const swap = (pair: Value) => ops.op('Gather', [pair, [1, 0]])
  const back = (value: Value, shift: Value | undefined, factor: Value | undefined) => {
    const moved = shift ? ops.op('Sub', [value, shift]) : value
    return factor ? ops.op('Div', [moved, factor]) : moved
  }
  const four = (pair: Value) => {
    const xy = swap(pair)
    return ops.op('Concat', [xy, xy], { axis: 0 })
  }
  const centred = offset && !corners ? ops.op('Concat', [swap(offset), ops.floats([0, 0])], { axis: 0 }) : undefined
  const box = back(ops.slice(value, 1, [0], [4]), centred ?? (offset && four(offset)), scale && four(scale))
  if (!points) {
    return { ...flow, corners, value: ops.op('Concat', [box, ops.slice(value, 1, [4], END)], { axis: 1 }) }
  }
  // [n, points, 2 or 3], of which the first two are a position.
  const rest = ops.slice(value, 1, [6], END)
  const list = pointsOf(rest, points, ops)
  const at = back(ops.slice(list, 2, [0], [2]), offset && swap(offset), scale && swap(scale))
  const moved = ops.op('Reshape', [
    ops.op('Concat', [at, ops.slice(list, 2, [2], END)], { axis: 2 }),
    ops.op('Shape', [rest]),
  ])
  return { ...flow, corners, value: ops.op('Concat', [box, ops.slice(value, 1, [4], [6]), moved], { axis: 1 }) }
}

/** Key points [n, m] as [n, points, m / points]; there may be no boxes, so the size of one is computed. */
function pointsOf(rest: Value, points: number, ops: Operators): Value {
  const each = ops.op('Div', [ops.sizes(rest, 1, 2), ops.ints([points])])
  return ops.op('Reshape', [rest, ops.op('Concat', [ops.sizes(rest, 0, 1), ops.ints([points]), each], { axis: 0 })], {
    allowzero: 1,
  })
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
  return { ...flow, corners: true, value: ops.op('Concat', [box, ops.slice(value, 1, [4], END)], { axis: 1 }) }
}

interface Columns {
  labels: unknown
  classes?: number | undefined
  points: number
}

function columns(flow: Detections, { labels, classes, points }: Columns, context: Context, name: string): Flow[] {
  const { ops } = context
  const { value } = cornered(flow, context)
  const column = (at: number) => ops.op('Squeeze', [ops.slice(value, 1, [at], [at + 1]), [1]])
  const numbers = ops.cast(column(5), 'int64')
  return [
    plain(ops.slice(value, 1, [0], [4]), 'float32', name, 'boxes'),
    plain(column(4), 'float32', name, 'scores'),
    plain(numbers, 'int64', name, 'classes'),
    ...labelsOf(numbers, labels, classes, context),
    ...(points ? [plain(pointsOf(ops.slice(value, 1, [6], END), points, ops), 'float32', name, 'keypoints')] : []),
  ]
}

const detections: Step = ([flow, ...rest], args, context, name) => {
  needsOne(name, context)
  const { value, shape, dtype } = expect(name, flow, 'tensor')
  const { ops } = context
  if (shape && shape.length !== 3) throw mismatch(name, `takes [1, ..., ...], and '${flow!.by}' gives [${shape}]`)
  const [batch, second, third] = shape ?? []
  if (typeof batch === 'number' && batch !== 1)
    throw mismatch(name, `takes one image, and '${flow!.by}' gives ${batch}`)
  const points = args['keyPoints'] as number
  const format = args['format'] ?? formatOf(second, third, points)
  const floats = dtype === 'float32' ? value : ops.cast(value, 'float32')
  const plane = ops.op('Squeeze', [floats, [0]])
  const found = (value: Value, corners: boolean): Detections => ({
    kind: 'detections',
    value,
    dtype: 'float32',
    corners,
    by: name,
  })
  let scaled: Detections
  let classes: number | undefined
  if (format === 'endToEnd') {
    if (typeof third === 'number' && third < 6) throw mismatch(name, `takes [1, boxes, 6], and gets [${shape}]`)
    const score = ops.op('Squeeze', [ops.slice(plane, 1, [4], [5]), [1]])
    const likely = ops.op('GreaterOrEqual', [score, ops.floats(args['scoreThreshold'] as number)])
    const kept = ops.op('Compress', [plane, likely], { axis: 0 })
    scaled = unscaled(found(best(kept, args['maxDetections'] as number, ops), true), points, context)
  } else {
    const isLater = format === 'yolov8'
    const more = points * (args['keyPointSize'] as number)
    const rows = isLater ? ops.op('Transpose', [plane], { perm: [1, 0] }) : plane
    const [boxes, scores, rest] = split(rows, !isLater, more, context)
    const count = isLater ? second : third
    classes = typeof count === 'number' ? count - (isLater ? 4 : 5) - more : undefined
    if (classes !== undefined && classes < 1)
      throw mismatch(name, `finds no classes in [${shape}]`, 'Set format=yolov8 or yolov5, or fewer keyPoints.')
    scaled = unscaled(found(select(boxes, scores, rest, args, context), false), points, context)
  }
  const picture = args['draw']
    ? [drawn(scaled, { thickness: 4, numClasses: 10, colourByClasses: true }, context, name)]
    : []
  return [...columns(scaled, { labels: args['labels'], classes, points }, context, name), ...picture, ...rest]
}

/** Models that suppress boxes themselves give at most so many; others have a row for each place of the image. */
const MOST_FINAL = 1000

/** What a shape looks like: there are more boxes than numbers for each. */
function formatOf(second: Dim | undefined, third: Dim | undefined, points: number): 'yolov8' | 'yolov5' | 'endToEnd' {
  if (typeof third !== 'number' || (typeof second === 'number' && second <= third)) return 'yolov8'
  return third === 6 && !points && typeof second === 'number' && second <= MOST_FINAL ? 'endToEnd' : 'yolov5'
}

function drawn(flow: Detections, args: Arguments, context: Context, name: string, on = context.original): Flow {
  if (!on)
    throw mismatch(
      name,
      'draws on the original image, and no image goes into the model',
      'Preprocess with image steps.',
    )
  const image = draw(cornered(flow, context).value, on, args, context)
  return { ...image, by: name, name: 'image' }
}

export const boxSteps: Readonly<Record<string, Step>> = {
  detections,
  splitOutBoxAndScore: splitStep(false),
  splitOutBoxAndScoreWithConf: splitStep(true),
  selectBestBoundingBoxesByNMS: ([boxes, scores, ...others], args, context, name) => {
    const [box, score] = [expect(name, boxes, 'tensor'), expect(name, scores, 'tensor')] as [Plain, Plain]
    const more = args['hasMaskData'] ? expect(name, others[0], 'tensor').value : undefined
    const value = select(box.value, score.value, more, args, context)
    return [
      { kind: 'detections', value, dtype: 'float32', corners: false, by: name, name: 'detections' },
      ...others.slice(more ? 1 : 0),
    ]
  },
  scaleNMSBoundingBoxesAndKeyPoints: ([flow, ...rest], { numKeyPoints }, context, name) => {
    const found = expect(name, flow, 'detections')
    const images = rest.slice(0, 3).flatMap((one) => (one.kind === 'image' ? one : []))
    const points = numKeyPoints as number
    if (images.length !== 3) return [{ ...unscaled(found, points, context), by: name }, ...rest]
    return [{ ...unscaled(found, points, context, placement(images, context)), by: name }, ...rest.slice(3)]
  },
  splitDetections: ([flow, ...rest], { labels, numKeyPoints }, context, name) => [
    ...columns(expect(name, flow, 'detections'), { labels, points: numKeyPoints as number }, context, name),
    ...rest,
  ],
  drawBoundingBoxes: (flows, args, context, name) => {
    // Other tools hand over the image too, before the boxes.
    const [on, [flow, ...rest]] = flows[0]?.kind === 'image' ? [flows[0], flows.slice(1)] : [undefined, flows]
    const boxes = expect(name, flow, 'detections')
    const { ops } = context
    const [first, second] = [ops.slice(boxes.value, 1, [0], [2]), ops.slice(boxes.value, 1, [2], [4])]
    const after = ops.slice(boxes.value, 1, [4], [6])
    const sized = ops.op('Concat', [first, ops.op('Add', [first, second]), after], { axis: 1 })
    const given =
      args['mode'] === 'XYWH'
        ? { ...boxes, value: sized, corners: true }
        : { ...boxes, corners: args['mode'] === 'XYXY' }
    return [drawn(given, args, context, name, on), boxes, ...rest]
  },
}
