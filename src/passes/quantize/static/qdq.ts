import { type Attributes, int } from '../../../graph/attributes.ts'
import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { writeQAttention } from '../q-attention.ts'
import { prune } from '../weight.ts'
import { ActivationPairs } from './activation-pairs.ts'
import { quantizedBias } from './bias.ts'
import { blockAttributes } from './blocks.ts'
import { emitConstant, type Initializers, type QuantizedConstant } from './constants.ts'
import { isAttention } from './fused.ts'
import { gatherCodes } from './gather-codes.ts'
import type { Plan } from './plan.ts'
import type { StaticOptions } from './settings.ts'

/** What is written. */
export interface QdqContext {
  options: StaticOptions
  /** Domain of QuantizeLinear and DequantizeLinear. */
  domain: string
  /** Nodes that are quantized. */
  nodes: ReadonlySet<Node>
  /** Activations that share scale and zero point with another one. */
  providerOf(value: Value): Value
  /** Values that every reader must read quantized, since a Relu or Clip before them is gone. */
  strict: ReadonlySet<Value>
}

/**
 * Writes a plan as pairs of QuantizeLinear and DequantizeLinear. Every activation gets one pair, which its readers share; every
 * constant a DequantizeLinear after its codes.
 *
 * @returns number of pairs and constants
 */
export function writeQdq(plan: Plan, context: QdqContext): number {
  const leftovers: Value[] = []
  let changes = 0
  const made = new Map<QuantizedConstant, Map<Graph, Value>>()
  const emitted = new Map<QuantizedConstant, Initializers>()
  const emit = (constant: QuantizedConstant): Initializers => {
    const known = emitted.get(constant) ?? emitConstant(constant)
    emitted.set(constant, known)
    return known
  }
  const attentions: { node: Node; constant: QuantizedConstant }[] = []
  for (const { node, index, constant } of plan.constants) {
    if (isAttention(node)) {
      attentions.push({ node, constant })
      continue
    }
    if (context.options.sparePairs && node.opType === 'Gather') {
      leftovers.push(node.input(index)!)
      const { output, result } = gatherCodes(node, constant, emit(constant), context.domain)
      const parameters = plan.parameters.get(output)
      if (parameters) {
        plan.parameters.delete(output)
        plan.parameters.set(result, parameters)
      }
      changes++
      continue
    }
    const byGraph = made.get(constant) ?? new Map<Graph, Value>()
    made.set(constant, byGraph)
    let value = byGraph.get(node.graph)
    if (!value) {
      value = writeConstant(constant, emit(constant), node, context)
      byGraph.set(node.graph, value)
      changes++
    }
    leftovers.push(node.input(index)!)
    node.setInput(index, value)
  }
  for (const { node, index, root, beta, inputScale, weight } of plan.biases) {
    const bias = quantizedBias(weight, root, inputScale, beta)
    if (!bias) continue
    const { graph } = node
    const scalar = bias.scale.dims.length === 0
    const dequantize = graph.insert(
      {
        op: 'DequantizeLinear',
        domain: context.domain,
        name: `${root.name}_DequantizeLinear`,
        inputs: [
          graph.addInitializer(`${root.name}_quantized`, bias.data),
          graph.addInitializer(`${root.name}_quantized_scale`, bias.scale),
          graph.addInitializer(`${root.name}_quantized_zero_point`, bias.zeroPoint),
        ],
        attributes: scalar ? {} : { axis: int(0) },
        outputs: [`${root.name}_dequantized`],
        types: [tensorType(bias.scale.dtype!, bias.data.dims)],
      },
      { before: node },
    )
    leftovers.push(node.input(index)!)
    node.setInput(index, dequantize.output())
    if (beta !== 1) node.attributes.set('beta', { kind: 'float', value: 1 })
    changes++
  }
  const pairs = new ActivationPairs(context)
  for (const [value, parameters] of plan.parameters) {
    const provider = context.providerOf(value)
    const shares = provider !== value && plan.parameters.get(provider) === parameters
    changes += pairs.write(value, parameters, shares ? provider : value)
  }
  for (const { node, constant } of attentions) {
    const input = node.input(0)!
    const [data, scale, zeroPoint] = input.producer?.opType === 'DequantizeLinear' ? input.producer.inputs : []
    if (!data || !scale || !zeroPoint) continue
    leftovers.push(input, node.input(1)!)
    writeQAttention(node, { data, scale, zeroPoint }, emitConstant(constant), node.input(2)!)
    changes++
  }
  prune(leftovers)
  return changes
}

function writeConstant(
  constant: QuantizedConstant,
  { data, scale, zeroPoint }: Initializers,
  reader: Node,
  { options, domain }: QdqContext,
): Value {
  const { root, request } = constant
  const { graph } = reader
  const axis: Attributes = constant.blocks
    ? blockAttributes(constant.blocks)
    : constant.layout.channels > 1 || request.axis !== undefined
      ? axisOf(constant)
      : {}
  const type = tensorType(request.scaleType, root.constant!.dims)
  let codes = data
  if (options.pairOnWeights) {
    const quantize = graph.insert(
      {
        op: 'QuantizeLinear',
        domain,
        name: `${root.name}_QuantizeLinear`,
        inputs: [root, scale, zeroPoint],
        attributes: axis,
        outputs: [`${root.name}_QuantizeLinear_Output`],
        types: [tensorType(request.type, root.constant!.dims)],
      },
      { before: reader },
    )
    codes = quantize.output()
    if (data.tensor) data.graph.removeInitializer(data)
  }
  return graph
    .insert(
      {
        op: 'DequantizeLinear',
        domain,
        name: `${root.name}_DequantizeLinear`,
        inputs: [codes, scale, zeroPoint],
        attributes: axis,
        outputs: [`${root.name}_DequantizeLinear_Output`],
        types: [type],
      },
      { before: reader },
    )
    .output()
}

function axisOf({ request, root }: QuantizedConstant): Attributes {
  return request.axis === undefined || root.constant!.dims.length === 0 ? {} : { axis: int(request.axis) }
}
