import type { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { PassContext, PassResult } from '../../pass.ts'
import { isAlreadyQuantized } from '../already.ts'
import { correctBiases } from '../balance/bias-correction.ts'
import { balance, meansOf } from '../balance/index.ts'
import { locate } from '../calibrate/data/files.ts'
import { type CalibrationData, openData } from '../calibrate/data/index.ts'
import { type Calibration, calibrate, type MethodOptions } from '../calibrate/index.ts'
import { checkInputs, noteNotFinite } from '../calibrate/not-finite.ts'
import { inlineQuantizable } from '../functions.ts'
import type { Part } from '../part.ts'
import { checkOps, EVERY, selector, wantsType } from '../select.ts'
import { foldBatchNorms } from './batch-norm.ts'
import { noteClipped } from './bias.ts'
import { completeOverrides } from './complete.ts'
import { isFloat8 } from './float8.ts'
import { attentionOperator, FUSED, giveBias, isAttention, isEmbedding, quantizeEmbeddings } from './fused.ts'
import { readOverrides, readRanges } from './json-files.ts'
import { LossMeter } from './loss.ts'
import { constantOf, Marks } from './marks.ts'
import { OPERATORS, OPTIONAL_OPERATORS, type Operator, operatorOf } from './operators.ts'
import { type ActivationParameters, activationParameters, representable } from './parameters.ts'
import { planConstants } from './plan.ts'
import { writeQdq } from './qdq.ts'
import { writeQOperators } from './qoperator.ts'
import { adjustRanges, removeActivations, sharePads } from './removable.ts'
import { noteSaturation } from './saturation.ts'
import type { Conversion, StaticOptions, TensorOverrides } from './settings.ts'
import { smooth } from './smooth.ts'
import { domainFor, fitVersion, raisesOpset } from './versions.ts'
import { wideActivations } from './wide.ts'

/** Quantizes a model in place. See `staticQuantization`. */
export async function run(model: Model, asked: StaticOptions, context: PassContext, part?: Part): Promise<PassResult> {
  const { note } = context
  if (!part && isAlreadyQuantized(model, note)) return { changes: 0 }
  const isQuantizable = (node: Node): boolean => {
    const operator = operatorOf(node) ?? attentionOperator(node, context.device)
    const isPart = operator ? isAsked(node, operator, asked) : isEmbedding(node, context.device)
    return isPart && wantsType(node.opType, asked)
  }
  // Functions keep the operator sets that they were written for: none may be left where the model's is raised.
  const { inlined, aliases } = inlineQuantizable(
    model,
    raisesOpset(model, asked) ? () => true : isQuantizable,
    context,
    part,
  )
  const overrides: TensorOverrides = asked.tensorOverrides ? readOverrides(asked.tensorOverrides, model) : new Map()
  const converts = [...overrides].find(([, { convert }]) => convert)
  if (converts && (asked.dedicatedPairs || asked.quantFormat === 'qoperator'))
    throw new OnnxError('OVERRIDES_INVALID', `"${converts[0]}" is converted: that needs pairs that readers share`, {
      hint: 'Leave out convert, or dedicatedPairs and quantFormat qoperator.',
    })
  const supported = [...Object.keys(OPERATORS), ...OPTIONAL_OPERATORS, ...FUSED]
  checkOps('floatOutputs', asked.floatOutputs, supported)
  const isSelected = selector(model, asked, supported, note, part, aliases)
  const candidates = new Map<Node, Operator>()
  for (const node of model.graph.allNodes()) {
    const operator = operatorOf(node) ?? attentionOperator(node, context.device)
    // Of values in bodies only the extremes are known, which say nothing for float8.
    const known = !isFloat8(asked.activationType) || !node.graph.owner
    if (operator && known && isSelected(node) && isAsked(node, operator, asked)) candidates.set(node, operator)
  }
  const embeddings = [...model.graph.allNodes()].filter((node) => isEmbedding(node, context.device) && isSelected(node))
  if (!candidates.size && !embeddings.length) return { changes: inlined }
  const { opset } = model
  const options = await fitVersion(model, asked, context)
  if (!options) return { changes: inlined }
  await context.ort.inferTypes(model)
  // A raised operator set stays: nodes were adapted to it.
  const adapted = options.blockSize !== undefined || isFloat8(options.activationType)
  const raised = adapted && model.opset !== opset ? 1 : 0
  let prepared = foldBatchNorms(model) + giveBias(candidates.keys()) + raised + inlined
  const balances = options.smoothAlpha !== undefined || options.equalize
  if (balances) prepared += await balance(model, [...candidates.keys()], options, dataOf(model, options, part), context)
  if (options.smoothAlpha === undefined && (options.smoothNorms ?? options.perChannel))
    prepared += smooth([...candidates.keys()].filter((node) => isProduct(node) || isAttention(node)))
  // Now that values are those that will be quantized.
  const given = options.ranges ? readRanges(options.ranges, model) : new Map<Value, { min: number; max: number }>()

  const integers = options.quantFormat === 'qoperator'
  const isFloat = (value: Value): boolean =>
    overrides.get(value.name)?.float === true || (integers && value.dtype === 'float16' && !value.constant)
  let marks = markAll(candidates, options, model.opset, isFloat)
  const values = [...marks.activations.keys()].filter((value) => !given.has(value))
  let calibration: Calibration = { ranges: new Map(), statistics: new Map(), samples: 0 }
  if (options.calibration && values.length) {
    const data = dataOf(model, options, part)
    const settings = {
      ...methodOptions(options),
      // What counts for float8 is how far values are spread.
      method: isFloat8(options.activationType) ? 'distribution' : options.calibrationMethod,
      masks: options.maskAware,
      threads: context.threads,
      signal: context.signal,
      progress: (fraction: number) => context.progress(fraction * 0.9),
    }
    const measure = (values: readonly Value[]): Promise<Calibration> => calibrate(model, values, data, settings)
    calibration = part ? await part.calibrate(settings.method, values, measure) : await measure(values)
  }
  if (options.calibration) checkInputs(calibration.statistics, locate(options.calibration, context.file), note)
  noteNotFinite(calibration.statistics, note)
  const masked = new Set<Value>()
  for (const [value, { masks }] of calibration.statistics) if (masks > 0) masked.add(value)
  if (masked.size) {
    marks = markAll(candidates, options, model.opset, (value) => isFloat(value) || masked.has(value))
    note({
      level: 'info',
      code: 'quantize/masks',
      message: `${masked.size} tensors hold masks (values of -10000 and below) and stay float`,
    })
  }
  const left = (node: Node, reason: string): void =>
    note({
      level: 'info',
      code: 'quantize/left-float',
      message: `${node.opType} stays float: ${reason}`,
      node: node.label,
    })
  const ranges = new Map([...calibration.ranges, ...given])
  if (!isFloat8(options.activationType)) adjustRanges(marks, ranges, options)
  if (integers) sharePads(marks, ranges)
  const wide = wideActivations(marks, ranges, calibration.statistics, options, overrides)
  if (wide.size) noteWide(wide, options, note)
  if (wide.size && options.wideActivations !== 'int16') {
    marks = markAll(candidates, options, model.opset, (value) => isFloat(value) || masked.has(value), wide)
    wide.clear()
  }
  const complete = options.completeOverrides ? completeOverrides(marks, overrides, options) : overrides
  const parameters = parametersOf(marks, ranges, wide, options, complete, context)
  const plan = planConstants(marks, parameters, options, complete, left)
  if (options.biasCorrection) {
    const products = new Set(plan.constants.map(({ node }) => node))
    correctBiases(plan, await meansOf(model, products, dataOf(model, options, part), context), marks.nodes)
  }
  noteSaturation(plan, options, note)
  noteClipped(plan.biases, note)
  const reported = rangesByName(ranges)
  const counts: Record<string, number> = {}
  for (const { opType } of marks.nodes) counts[opType] = (counts[opType] ?? 0) + 1
  const meter = options.lossSamples ? await LossMeter.open(model, [...parameters.keys()], context.threads) : undefined
  const strict = options.keepActivations ? new Set<Value>() : removeActivations(marks, parameters, options)
  const limits = new Map([...parameters].map(([value, found]) => [value, representable(found)]))
  const names = new Map([...parameters.keys()].map((value) => [value, value.name]))
  const changes = integers
    ? writeQOperators(plan, { opset: model.opset, nodes: marks.nodes, strict, left })
    : writeQdq(plan, {
        options,
        domain: domainFor(model, options, plan),
        nodes: marks.nodes,
        providerOf: (value) => marks.rootOf(value),
        strict,
      })
  const tables = quantizeEmbeddings(embeddings, left)
  if (changes + prepared + tables - inlined === 0) model.opsets.set('', opset)
  const loss =
    meter && options.calibration
      ? await meter.finish(
          model,
          names,
          new Map([...strict].flatMap((value) => (limits.has(value) ? [[value, limits.get(value)!]] : []))),
          plan.constants.map(({ constant }) => constant),
          openData(model, { ...options, calibration: options.calibration, calibrationSamples: options.lossSamples }),
        )
      : undefined
  context.progress(1)
  return {
    changes: changes + prepared + tables,
    data: { quantized: counts, samples: calibration.samples, ranges: reported, ...(loss ? { loss } : {}) },
  }
}

/** The calibration data, as far as it may be looked at. */
function dataOf(model: Model, options: StaticOptions, part: Part | undefined): CalibrationData {
  const data = openData(model, { ...options, calibration: options.calibration! })
  return part ? part.samples(data) : data
}

function isProduct({ opType }: Node): boolean {
  return opType === 'MatMul' || opType === 'Gemm'
}

/** True if the options ask for an operator that does not pay by itself. */
function isAsked(node: Node, { kind }: Operator, { allOps, ops }: StaticOptions): boolean {
  if (ops?.length) return true
  return kind === 'precise' ? allOps : !OPTIONAL_OPERATORS.includes(node.opType)
}

function markAll(
  candidates: ReadonlyMap<Node, Operator>,
  options: StaticOptions,
  opset: number,
  isFloat: (value: Value) => boolean,
  wide: ReadonlySet<Value> = new Set(),
): Marks {
  const marks = new Marks(isFloat, wide)
  for (const [node, { kind, mark }] of candidates) {
    if (!node.isLinked || (!pays(node) && marks.touchesWide(node))) continue
    const named = options.ops?.includes(EVERY) || (options.ops?.includes(node.opType) && kind === 'precise')
    if (kind === 'between' && !options.allOps && !named && !isBetween(node, marks)) continue
    if (mark(node, { marks, options, opset })) marks.nodes.add(node)
  }
  return marks
}

/** True for products, and for tables whose codes are gathered. */
function pays(node: Node): boolean {
  return (
    isProduct(node) ||
    isAttention(node) ||
    node.opType.startsWith('Conv') ||
    (node.opType === 'Gather' && !!constantOf(node.input(0)))
  )
}

/** True if all computed float inputs of a node are quantized anyway. */
function isBetween(node: Node, marks: Marks): boolean {
  const inputs = node.inputs.filter((value) => value?.isFloat && !value.constant)
  return inputs.length > 0 && inputs.every((value) => marks.has(value!))
}

function methodOptions(options: StaticOptions): MethodOptions {
  return {
    bins: options.calibrationBins,
    quantizedBins: options.calibrationQuantizedBins,
    percentile: options.calibrationPercentile,
    symmetric: options.calibrationSymmetric ?? options.calibrationMethod === 'percentile',
    movingAverage: options.movingAverage,
    averageWeight: options.movingAverageConstant,
    levels: options.activationType.endsWith('16') ? 65535 : 255,
  }
}

function parametersOf(
  marks: Marks,
  ranges: ReadonlyMap<Value, { min: number; max: number }>,
  wide: ReadonlySet<Value>,
  options: StaticOptions,
  overrides: TensorOverrides,
  { note }: PassContext,
): Map<Value, ActivationParameters> {
  const parameters = new Map<Value, ActivationParameters>()
  for (const [value, provider] of marks.activations) {
    if (provider) continue
    const override = overrides.get(value.name)
    const range = ranges.get(value)
    if (!range && override?.scale === undefined && (override?.min === undefined || override.max === undefined)) {
      note({
        level: 'info',
        code: 'quantize/no-range',
        message: `"${value.name}" stays float: no finite value was seen`,
      })
      continue
    }
    const scaleType = value.dtype === 'float16' ? 'float16' : 'float32'
    const { convert } = override ?? {}
    const parametersIn = (options: StaticOptions): ActivationParameters =>
      activationParameters(range ?? { min: 0, max: 0 }, scaleType, options, override)
    const narrow = convert ? converted(parametersIn(options), convert, range, options) : parametersIn(options)
    const activationType = options.activationType.startsWith('u') ? 'uint16' : 'int16'
    parameters.set(value, wide.has(value) ? { ...parametersIn({ ...options, activationType }), narrow } : narrow)
  }
  for (const [value, provider] of marks.activations) {
    const shared = provider && parameters.get(marks.rootOf(value))
    if (!shared) continue
    const { convert } = overrides.get(value.name) ?? {}
    const range = ranges.get(marks.rootOf(value))
    // A second type is the matter of one tensor, not of those that share its first.
    const plain = shared.convert ? { ...shared, convert: undefined } : shared
    parameters.set(value, convert ? converted(plain, convert, range, options) : plain)
  }
  return parameters
}

function noteWide(wide: ReadonlySet<Value>, { wideActivations }: StaticOptions, note: PassContext['note']): void {
  note({
    level: 'info',
    code: 'quantize/wide-activations',
    message: `8 bits are too few for ${wide.size} tensors: they ${wideActivations === 'int16' ? 'get 16 bits' : 'stay float'} where no integer product reads them`,
  })
}

function converted(
  parameters: ActivationParameters,
  { readers, ...own }: Conversion,
  range: { min: number; max: number } | undefined,
  options: StaticOptions,
): ActivationParameters {
  const second = activationParameters(range ?? { min: 0, max: 0 }, parameters.scaleType, options, own)
  return { ...parameters, convert: { parameters: second, readers } }
}

function rangesByName(ranges: ReadonlyMap<Value, { min: number; max: number }>): Record<string, [number, number]> {
  return Object.fromEntries([...ranges].map(([{ name }, { min, max }]) => [name, [min, max]]))
}
