import type { Attributes } from '../../../graph/attributes.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { writeQAttention } from '../q-attention.ts'
import { prune } from '../weight.ts'
import { quantizedBias } from './bias.ts'
import { emitConstant, type QuantizedConstant } from './constants.ts'
import { zeroPointTensor } from './float8.ts'
import { isAttention } from './fused.ts'
import { gatherCodes } from './gather-codes.ts'
import { INTEGER_OPERATORS, type Integer, MATMUL_TO_FLOAT, type Quantized } from './integer-operators.ts'
import type { ActivationParameters } from './parameters.ts'
import type { BiasUse, ConstantUse, Plan } from './plan.ts'

/** What is written. */
export interface QOperatorContext {
  opset: number
  nodes: ReadonlySet<Node>
  /** Values that every reader must read quantized, since a Relu or Clip before them is gone. */
  strict: ReadonlySet<Value>
  /** Says that a node stays float, and why. */
  left(node: Node, reason: string): void
}

/**
 * Writes a plan as integer operators. A tensor has one quantized twin: what an integer operator gives, or a QuantizeLinear in front of the
 * first reader; where somebody still reads the float one, a DequantizeLinear gives it back.
 *
 * @returns number of operators and tensors written
 */
export function writeQOperators(plan: Plan, context: QOperatorContext): number {
  return new Writer(plan, context).write()
}

class Writer {
  readonly #plan: Plan
  readonly #context: QOperatorContext
  readonly #twins = new Map<Value, Quantized>()
  readonly #parameters = new Map<ActivationParameters, { scale: Value; zeroPoint: Value }>()
  readonly #constants = new Map<QuantizedConstant, Quantized>()
  readonly #uses = new Map<Node, Map<number, ConstantUse>>()
  readonly #biases = new Map<Node, BiasUse>()
  readonly #leftovers = new Set<Value>()

  constructor(plan: Plan, context: QOperatorContext) {
    this.#plan = plan
    this.#context = context
    for (const use of plan.constants) {
      const uses = this.#uses.get(use.node) ?? new Map<number, ConstantUse>()
      this.#uses.set(use.node, uses.set(use.index, use))
    }
    for (const bias of plan.biases) this.#biases.set(bias.node, bias)
  }

  write(): number {
    const { nodes, left } = this.#context
    let changes = 0
    const replaced: { node: Node; value: Value; twin: Quantized }[] = []
    const [any] = nodes
    const order = [...(any?.graph.model.graph.allNodes() ?? [])].filter((node) => nodes.has(node))
    for (const node of order) {
      const table = this.#uses.get(node)?.get(0)
      if (table && node.opType === 'Gather' && !this.#plan.parameters.has(node.output())) {
        const { data, scale, zeroPoint } = this.#input(node, 0)
        this.#leftovers.add(node.input(0)!)
        gatherCodes(node, table.constant, { data, scale, zeroPoint }, '')
        changes++
        continue
      }
      const attention = isAttention(node) ? this.#uses.get(node)?.get(1) : undefined
      if (attention && this.#plan.parameters.has(node.input(0)!)) {
        this.#leftovers.add(node.input(1)!)
        this.#leftovers.add(node.input(0)!)
        const found = this.#plan.parameters.get(node.output())
        const result = writeQAttention(node, this.#input(node, 0), emitConstant(attention.constant), node.input(2)!)
        if (found) this.#plan.parameters.set(result, found)
        changes++
        continue
      }
      const operator = this.#operatorFor(node)
      const reason = operator ? this.#obstacle(node, operator) : 'it has no integer form'
      if (!operator || reason) {
        left(node, reason!)
        continue
      }
      for (const result of this.#replace(node, operator)) replaced.push({ node, ...result })
      changes++
    }
    // From the end, so that a node goes when its readers are gone.
    for (const { node, value, twin } of replaced.reverse()) {
      if (!value.isUnused) this.#giveBack(value, twin)
      if (node.isLinked && node.outputs.every((output) => !output || output.isUnused)) {
        for (const input of node.inputs) if (input) this.#leftovers.add(input)
        node.graph.remove(node)
      }
    }
    // Where the operator before a removed Relu stays float, rounding to codes still does the Relu's work.
    for (const value of this.#context.strict) {
      if (!value.producer?.isLinked || value.isUnused) continue
      const twin = this.#quantize(value)
      const quantize = twin.data.producer!
      this.#giveBack(value, twin)
      quantize.setInput(0, value)
    }
    prune(this.#leftovers)
    return changes
  }

  #operatorFor(node: Node): Integer | undefined {
    if (node.opType === 'MatMul' && !this.#plan.parameters.has(node.output())) return MATMUL_TO_FLOAT
    return INTEGER_OPERATORS[node.opType]
  }

  /** Why the integer form cannot be written. */
  #obstacle(node: Node, operator: Integer): string | undefined {
    const { since = 10, inputs, shares } = operator
    if (this.#context.opset < since) return `its integer form needs opset ${since}`
    for (const index of inputs(node)) {
      const value = node.input(index)
      const constant = this.#uses.get(node)?.get(index)?.constant
      if (constant?.request.axis !== undefined && !operator.perChannel)
        return 'its integer form has no scale per channel'
      if (!constant && !(value && (this.#plan.parameters.has(value) || this.#twins.has(value))))
        return 'an input has no range'
    }
    const first = node.input(0)
    if (shares) {
      // The data goes through as it is: input and output must mean the same by it.
      const source = first && this.#plan.parameters.get(first)
      const own = operator.results === 'indices' ? source : this.#plan.parameters.get(node.output())
      if (source && own !== source) return 'input and output have different ranges'
    } else if (!this.#plan.parameters.has(node.output()) && !operator.floatResult) return 'its output has no range'
    if (operator.bias && node.input(operator.bias) && !this.#bias(node)) return 'its bias is not constant'
    return operator.obstacle?.(node)
  }

  #replace(node: Node, operator: Integer): { value: Value; twin: Quantized }[] {
    const { graph } = node
    const inputs = new Map<number, Quantized>()
    for (const index of operator.inputs(node)) inputs.set(index, this.#input(node, index))
    const parameters = operator.shares ? undefined : this.#plan.parameters.get(node.output())
    const output = parameters ? this.#scaleOf(node.output(), parameters) : undefined
    const bias = operator.bias && node.input(operator.bias) ? this.#writeBias(node) : null
    const attributes: Attributes = {
      ...Object.fromEntries(node.attributes),
      ...operator.attributes?.(node, this.#context.opset),
    }
    const isIndices = operator.results === 'indices'
    const dtype = isIndices ? undefined : (parameters?.type ?? inputs.get(0)!.type)
    const isFloat = !operator.shares && !parameters
    const fresh = graph.insert(
      {
        op: operator.op ?? node.opType,
        domain: operator.domain ?? '',
        name: `${node.name || node.output().name}_quant`,
        inputs: operator.arguments(node, inputs, output, bias),
        attributes,
        outputs: node.outputs.map((value) => value && `${value.name}_quantized`),
        types: node.outputs.map((value) => (isIndices || isFloat ? value?.type : tensorType(dtype, value?.shape))),
      },
      { before: node },
    )
    if (operator.domain) graph.model.useDomain(operator.domain)
    if (isIndices || isFloat) {
      for (const [i, value] of node.outputs.entries()) if (value) graph.replace(value, fresh.output(i))
      for (const input of node.inputs) if (input) this.#leftovers.add(input)
      graph.remove(node)
      return []
    }
    const { scale, zeroPoint } = output ?? inputs.get(0)!
    return node.outputs.flatMap((value, i) => {
      if (!value) return []
      const twin = { data: fresh.output(i), scale, zeroPoint, type: dtype! }
      this.#twins.set(value, twin)
      return [{ value, twin }]
    })
  }

  #input(node: Node, index: number): Quantized {
    const constant = this.#uses.get(node)?.get(index)?.constant
    if (constant) {
      const known = this.#constants.get(constant)
      if (known) return known
      const quantized = { ...emitConstant(constant), type: constant.request.type }
      this.#constants.set(constant, quantized)
      return quantized
    }
    return this.#quantize(node.input(index)!)
  }

  /** The quantized twin of an activation. */
  #quantize(value: Value): Quantized {
    const twin = this.#twins.get(value)
    if (twin) return twin
    const parameters = this.#plan.parameters.get(value)!
    const { scale, zeroPoint } = this.#scaleOf(value, parameters)
    const { graph, producer } = value
    const quantize = graph.insert(
      {
        op: 'QuantizeLinear',
        name: `${value.name}_QuantizeLinear`,
        inputs: [value, scale, zeroPoint],
        outputs: [`${value.name}_quantized`],
        types: [tensorType(parameters.type, value.shape)],
      },
      producer ? { after: producer } : { before: graph.firstNode },
    )
    const quantized = { data: quantize.output(), scale, zeroPoint, type: parameters.type }
    this.#twins.set(value, quantized)
    return quantized
  }

  #scaleOf({ graph, name }: Value, parameters: ActivationParameters): { scale: Value; zeroPoint: Value } {
    const known = this.#parameters.get(parameters)
    if (known) return known
    // Where bodies can read them as well.
    const { graph: main } = graph.model
    const made = {
      scale: main.addInitializer(`${name}_scale`, Tensor.from(parameters.scaleType, [], [parameters.scale])),
      zeroPoint: main.addInitializer(`${name}_zero_point`, zeroPointTensor(parameters.type, parameters.zeroPoint)),
    }
    this.#parameters.set(parameters, made)
    return made
  }

  #bias(node: Node): ReturnType<typeof quantizedBias> {
    const use = this.#biases.get(node)
    return use && quantizedBias(use.weight, use.root, use.inputScale, use.beta)
  }

  #writeBias(node: Node): Value {
    return node.graph.addInitializer(`${this.#biases.get(node)!.root.name}_quantized`, this.#bias(node)!.data)
  }

  /** The float form for whoever still reads it. */
  #giveBack(value: Value, { data, scale, zeroPoint }: Quantized): void {
    const { graph, name, type } = value
    const dequantize = graph.insert(
      {
        op: 'DequantizeLinear',
        name: `${name}_DequantizeLinear`,
        inputs: [data, scale, zeroPoint],
        outputs: [`${name}_dequantized`],
        types: [type],
      },
      data.producer ? { after: data.producer } : { before: graph.firstNode },
    )
    graph.replace(value, dequantize.output())
  }
}
