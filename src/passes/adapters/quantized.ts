import type { AttributeValue } from '../../graph/attributes.ts'
import { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { permute } from '../../kernels/index.ts'
import type { OrtService } from '../../ort/service.ts'
import { dropDead, evaluateFixed, fixedNodes } from './fixed.ts'
import { dropUnused, type Linear, linearOf, weightOf } from './linear.ts'

/**
 * Puts the float weights that a quantized product computes with in the place of its quantized ones: adapters are small, and of
 * float weights any other adapter fits.
 *
 * @returns the product as it is then
 */
export async function dequantize(given: Linear, ort: OrtService): Promise<Linear> {
  // Another product with the same weights may have been first.
  const linear = linearOf(given.node) ?? given
  const { quantized, node, rows } = linear
  if (!quantized) return linear
  const { graph } = node
  if (quantized === node) {
    const weights = await weightsOf(node, ort, rows)
    const value = graph.addInitializer(nameOf(linear), weights)
    const product = graph.insert({ op: 'MatMul', name: node.name, inputs: [node.input(0)!, value] }, { before: node })
    product.output().type = node.output().type
    const constants = node.inputs.slice(1)
    graph.replace(node.output(), product.output())
    graph.remove(node)
    for (const constant of constants) if (constant) dropUnused(constant)
    return linearOf(product)!
  }
  const weights = await compute(quantized, ort)
  const value = graph.addInitializer(nameOf(linear), weights)
  const constants = [...quantized.inputs]
  graph.replace(quantized.output(), value)
  graph.remove(quantized)
  for (const constant of constants) if (constant) dropUnused(constant)
  return linearOf(node)!
}

/** The constant of a product as float `[rows, columns]`, also where it is quantized. */
export async function floatWeight(linear: Linear, ort: OrtService): Promise<Tensor> {
  const { quantized, node, rows } = linear
  if (!quantized) return weightOf(linear, linear.alpha)
  if (quantized === node) return weightsOf(node, ort, rows)
  const weights = await compute(quantized, ort)
  return linear.isTransposed
    ? Tensor.of('float32', [rows, linear.columns], permute(weights.bytes(), weights.dims, [1, 0], 4))
    : weights
}

/** So many unit vectors at a time: the matrix of all may be far larger than the weights. */
const UNIT_VECTORS = 1024

/** The weights of a quantized product as `[rows, columns]`: what it makes of unit vectors. */
async function weightsOf(product: Node, ort: OrtService, rows: number): Promise<Tensor> {
  const parts: Uint8Array[] = []
  for (let start = 0; start < rows; start += UNIT_VECTORS) {
    const units = unitVectors(start, Math.min(start + UNIT_VECTORS, rows), rows)
    parts.push((await compute(product, ort, units)).bytes())
  }
  const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  return Tensor.of('float32', [rows, bytes.length / 4 / rows], bytes)
}

/** Rows `start` to `end` of the unit matrix. */
function unitVectors(start: number, end: number, size: number): Tensor {
  const data = new Float32Array((end - start) * size)
  for (let i = start; i < end; i++) data[(i - start) * size + i] = 1
  return Tensor.float32([end - start, size], data)
}

/** Makes both operands of a product of constants float, and gives the product as it is then. */
export async function dequantizeOperands(product: Node, ort: OrtService): Promise<Node> {
  const { node } = await dequantize(linearOf(product)!, ort)
  const left = node.input(0)!
  const quantized = left.producer
  if (!quantized?.is('DequantizeLinear')) return node
  const { graph } = node
  const value = graph.addInitializer(plainName(quantized.input(0)!.name), await compute(quantized, ort))
  node.setInput(0, value)
  dropDead(left)
  return node
}

/** Makes the number that a node multiplies or divides by a float constant, where it is quantized. */
export async function dequantizeFactor(node: Node, ort: OrtService): Promise<void> {
  for (const [at, value] of [...node.inputs.entries()]) {
    const source = value && !value.constant ? numberBehind(value) : undefined
    if (!value || !source) continue
    node.setInput(at, node.graph.addInitializer(plainName(source.name), await evaluateFixed(value, ort)))
    dropDead(value)
  }
}

/** The constant of one element that a value is, also where that is quantized, or rounded by quantization and the way back. */
export function numberBehind(value: Value): Value | undefined {
  const before = value.producer?.is('DequantizeLinear') ? value.producer.input(0)?.producer : undefined
  const source = before?.is('QuantizeLinear') ? before.input(0) : quantizedSource(value)
  return source?.constant?.elementCount === 1 && fixedNodes(value) ? source : undefined
}

/** The constant behind a value, directly or through a DequantizeLinear. */
export function quantizedSource(value: Value): Value | undefined {
  const source = value.producer?.is('DequantizeLinear') ? value.producer.input(0) : value
  return source?.constant ? source : undefined
}

/** A weight's name without what quantizers add to it. */
export function plainName(name: string): string {
  return name.replace(/_(?:(?:DQ_)?Q[248]\w*|quantized|QuantizeLinear_Input)$/, '')
}

function nameOf({ weight }: Linear): string {
  return plainName(weight.name)
}

/** Runs a node alone; `first` takes the place of its first input, all others are constants. */
async function compute(node: Node, ort: OrtService, first?: Tensor): Promise<Tensor> {
  const model = new Model({ opset: 21, irVersion: 10 })
  model.opsets.set('com.microsoft', 1)
  const inputs = node.inputs.map((value, at) => {
    const tensor = at === 0 && first ? first : value?.constant
    return tensor ? model.graph.addInitializer(`i${at}`, tensor) : null
  })
  // What saves time at run time costs precision here.
  const kept = [...node.attributes].filter(([name]) => name !== 'accuracy_level')
  const attributes: Record<string, AttributeValue> = Object.fromEntries(kept)
  const types = [tensorType('float32')]
  const { domain, opType } = node
  model.graph.addOutput(model.graph.insert({ op: opType, domain, inputs, attributes, outputs: ['w'], types }).output())
  return (await ort.evaluate(model))['w']!
}
