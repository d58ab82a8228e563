import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { makeRoomForBias } from './bias.ts'
import { type ConstantRequest, planConstant, type QuantizedConstant } from './constants.ts'
import { type CodeType, isFloat8 } from './float8.ts'
import { isAttention } from './fused.ts'
import type { ConstantMark, Marks } from './marks.ts'
import type { ActivationParameters } from './parameters.ts'
import type { StaticOptions, TensorOverrides } from './settings.ts'

/** A constant that a node reads quantized. */
export interface ConstantUse {
  node: Node
  index: number
  mark: ConstantMark
  constant: QuantizedConstant
}

/** A bias to quantize, with what decides about its scale. */
export interface BiasUse {
  node: Node
  index: number
  root: Value
  beta: number
  /** Of the activation, alpha of Gemm included. */
  inputScale: number
  weight: QuantizedConstant
}

/** Everything that is known before the graph is changed. */
export interface Plan {
  parameters: Map<Value, ActivationParameters>
  constants: ConstantUse[]
  biases: BiasUse[]
}

/** Plans the constants of all marked nodes: each is quantized once per way in which it is asked for. */
export function planConstants(
  marks: Marks,
  parameters: Map<Value, ActivationParameters>,
  options: StaticOptions,
  overrides: TensorOverrides,
  left: (node: Node, reason: string) => void,
): Plan {
  const known = new Map<Value, Map<string, QuantizedConstant | string>>()
  const constants: ConstantUse[] = []
  const biases: BiasUse[] = []
  for (const [node, byIndex] of marks.constants) {
    for (const [index, mark] of byIndex) {
      const { root, dtype } = mark.weight
      // A bias with settings of its own is a weight like others.
      if (mark.kind === 'bias' && !overrides.has(root.name)) continue
      const request = requestFor(node, mark, dtype, parameters, options, overrides)
      const entries = known.get(root) ?? new Map<string, QuantizedConstant | string>()
      known.set(root, entries)
      const key = JSON.stringify(request)
      const constant = entries.get(key) ?? planConstant(root, request)
      entries.set(key, constant)
      if (typeof constant === 'string') left(node, constant)
      else constants.push({ node, index, mark, constant })
    }
  }
  for (const [node, byIndex] of marks.constants) {
    for (const [index, mark] of byIndex) {
      const input = node.input(0)
      const weight = constants.find((use) => use.node === node && use.index === 1)?.constant
      const found = input && parameters.get(input)
      const scale = found?.narrow ?? found
      if (mark.kind !== 'bias' || !weight || weight.blocks || !scale || mark.weight.transposed) continue
      if (overrides.has(mark.weight.root.name)) continue
      // What float8 gives is float: its bias too.
      if (isFloat8(scale.type) || isFloat8(weight.request.type)) continue
      const { root } = mark.weight
      // QGemm multiplies the integer sum by alpha after it has added the bias.
      const inputScale = scale.scale * (node.opType === 'Gemm' ? node.float('alpha', 1) : 1)
      // Where the bias stays float, ONNX Runtime makes int32 of it when it loads the model.
      if (options.adjustForBias) makeRoomForBias(weight, root, inputScale, mark.beta)
      if (options.quantizeBias) biases.push({ node, index, root, beta: mark.beta, inputScale, weight })
    }
  }
  return { parameters, constants, biases }
}

function requestFor(
  node: Node,
  mark: ConstantMark,
  dtype: string | undefined,
  parameters: ReadonlyMap<Value, ActivationParameters>,
  options: StaticOptions,
  overrides: TensorOverrides,
): ConstantRequest {
  const override = overrides.get(mark.weight.root.name) ?? {}
  const isWeight = mark.kind !== 'operand'
  const type: CodeType = override.type ?? (isWeight ? weightTypeOf(node, options) : options.activationType)
  const symmetric =
    override.symmetric ?? (isWeight ? (options.weightSymmetric ?? type.startsWith('int')) : options.activationSymmetric)
  const isProduct = mark.kind === 'weight' && mark.product
  const reduced = override.reduceRange ?? options.reduceRange
  const list = (value: number | number[] | undefined): number[] | undefined =>
    value === undefined ? undefined : [value].flat()
  const given: ConstantRequest['given'] & object = {
    min: override.min,
    max: override.max,
    ...(override.scale === undefined
      ? {}
      : { scale: list(override.scale)!, zeroPoint: list(override.zeroPoint) ?? [0] }),
  }
  const hasBlocks =
    isProduct && !isAttention(node) && given.scale === undefined && !isIntegerProduct(node, type, parameters)
  const axis = override.axis ?? (mark.kind === 'weight' ? mark.axis : undefined)
  const rank = mark.weight.tensor.dims.length
  return {
    type,
    symmetric,
    range:
      reduced === undefined
        ? isProduct && options.activationType.endsWith('int8')
          ? 'safe'
          : 'full'
        : reduced
          ? 'reduced'
          : 'full',
    axis: axis === undefined || isFloat8(type) ? undefined : axis < 0 ? axis + rank : axis,
    op: isProduct
      ? isAttention(node)
        ? 'MatMul'
        : node.opType === 'Gemm' && node.int('transB', 0)
          ? 'Gemm:transB'
          : node.opType
      : '',
    scaleType: dtype === 'float16' ? 'float16' : 'float32',
    minimumRealRange: options.minimumRealRange,
    blockSize: hasBlocks ? options.blockSize : undefined,
    refuseMasks: options.maskAware && mark.kind === 'operand',
    given,
  }
}

/**
 * True where both sides of a product have 8 bits: ONNX Runtime makes QLinearMatMul of that without a look at the blocks, which then fails
 * at run time. Overrides may ask for it tensor by tensor.
 */
function isIntegerProduct(
  node: Node,
  weightType: CodeType,
  parameters: ReadonlyMap<Value, ActivationParameters>,
): boolean {
  const found = parameters.get(node.input(0)!)
  return weightType.endsWith('int8') && ((found?.narrow ?? found)?.type ?? '').endsWith('int8')
}

/**
 * Convolutions of uint8 activations get uint8 weights with a zero point: all 8 bits, and no sum of products saturates. Other products
 * get int8, which is multiplied faster; there `safe` codes cost next to nothing. Tables have nothing to multiply.
 */
function weightTypeOf(node: Node, { weightType, activationType }: StaticOptions): CodeType {
  if (node.opType === 'Gather') return weightType ?? 'uint8'
  if (isFloat8(activationType)) return activationType
  return weightType ?? (/^Conv/.test(node.opType) && activationType === 'uint8' ? 'uint8' : 'int8')
}
