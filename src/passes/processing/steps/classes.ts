import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { Context, Step } from '../context.ts'
import { expect, type Flow, mismatch } from '../flow.ts'
import { locate } from '../index.ts'
import { readLabels } from '../labels.ts'
import { plain } from './tensors.ts'

/** Operators through which probabilities stay what they are. */
const CARRIERS = new Set(['Identity', 'Cast', 'Reshape', 'Flatten', 'Squeeze', 'DequantizeLinear', 'QuantizeLinear'])

/** Whether a value is known to hold probabilities. */
function isProbability(value: Value): boolean {
  let node = value.producer
  while (node && CARRIERS.has(node.opType)) node = node.input(0)?.producer
  return node?.opType === 'Softmax' || node?.opType === 'Sigmoid'
}

/**
 * Names of classes by number, as strings of the graph.
 *
 * @throws OnnxError `LABELS_INVALID` also where their number is not that of the classes
 */
export function labelsOf(classes: Value, file: unknown, count: unknown, context: Context): Flow[] {
  if (typeof file !== 'string') return []
  const path = locate(file, context.file)
  const labels = readLabels(path)
  if (typeof count === 'number' && count !== labels.length)
    throw new OnnxError('LABELS_INVALID', `${path} has ${labels.length} labels, and the model ${count} classes`)
  const { ops } = context
  const table = ops.constant(Tensor.strings([labels.length], labels))
  return [plain(ops.op('Gather', [table, classes]), 'string', 'labels', 'labels')]
}

const topK: Step = ([flow, ...rest], { k, labels, softmax }, context, name) => {
  const { value, dtype, shape } = expect(name, flow, 'tensor')
  const { ops } = context
  const count = shape?.at(-1)
  if (dtype && !/^float/.test(dtype)) throw mismatch(name, `takes scores, and '${flow!.by}' gives ${dtype}`)
  const scores = dtype === 'float32' ? value : ops.cast(value, 'float32')
  const likely = (softmax ?? !isProbability(value)) ? ops.op('Softmax', [scores], { axis: -1 }) : scores
  // No more than there are.
  const best =
    typeof count === 'number'
      ? [Math.min(k as number, count)]
      : ops.op('Min', [ops.sizes(likely, -1, Number.MAX_SAFE_INTEGER), [k as number]])
  const [values, classes] = ops.ops('TopK', [likely, best], 2, { axis: -1 })
  return [
    plain(classes!, 'int64', name, 'classes'),
    plain(values!, 'float32', name, 'scores'),
    ...labelsOf(classes!, labels, count, context),
    ...rest,
  ]
}

/** 1 for tokens of the context, 0 for others, as float32 [batch, length]; undefined where that cannot be told. */
function contextOf({ ops, model, separator }: Context): Value | undefined {
  const { inputs } = model.graph
  const types = inputs.find((input) => /(token_type|segment)_ids$/.test(input.name))
  const mask = inputs.find((input) => /attention_mask$/.test(input.name))
  const floats = (value: Value) => ops.cast(value, 'float32')
  if (!separator) return types && floats(types)
  const { ids, token } = separator
  const isSeparator = ops.op('Equal', [ids, ops.constant(Tensor.from(ids.dtype ?? 'int64', [], [token]))])
  // Without types the context is what comes after the first separator, and before padding.
  const after =
    types ??
    ops.op('GreaterOrEqual', [
      ops.op('CumSum', [floats(isSeparator), ops.constant(Tensor.int64([1], []))]),
      ops.floats(1),
    ])
  const isText = ops.op('Mul', [floats(after), floats(ops.op('Not', [isSeparator]))])
  return mask && !types ? ops.op('Mul', [isText, floats(mask)]) : isText
}

/**
 * The span with the largest sum of start and end scores, where the end is not before the start and the span not too long: all
 * pairs are scored at once. The question is not searched for the answer, as far as the model can tell which tokens it is.
 */
const answer: Step = ([starts, ends, ...rest], { maxLength }, context, name) => {
  const { ops } = context
  const [start, end] = [expect(name, starts, 'tensor'), expect(name, ends, 'tensor')]
  const isContext = contextOf(context)
  const row = (flow: typeof start) => {
    const likely = ops.op('Softmax', [ops.cast(flow.value, 'float32')], { axis: -1 })
    return isContext ? ops.op('Mul', [likely, isContext]) : likely
  }
  // [batch, length, 1] * [batch, 1, length]
  const pairs = ops.op('Mul', [ops.op('Unsqueeze', [row(start), [2]]), ops.op('Unsqueeze', [row(end), [1]])])
  const upper = ops.op('Trilu', [pairs, ops.constant(Tensor.int64([0], []))], { upper: 1 })
  const band = ops.op('Trilu', [upper, ops.constant(Tensor.int64([(maxLength as number) - 1], []))], { upper: 0 })
  const length = ops.sizes(pairs, 2, 3)
  const flat = ops.op('Reshape', [band, [0, -1]])
  const [score, at] = ops.ops('TopK', [flat, [1]], 2, { axis: -1 })
  return [
    plain(ops.op('Div', [at!, length]), 'int64', name, 'start'),
    plain(ops.op('Mod', [at!, length]), 'int64', name, 'end'),
    plain(score!, 'float32', name, 'score'),
    ...rest,
  ]
}

export const classSteps: Readonly<Record<string, Step>> = { topK, answer }
