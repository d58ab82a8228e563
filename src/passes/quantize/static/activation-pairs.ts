import type { Graph, Position } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Use, Value } from '../../../graph/value.ts'
import { nameOf } from '../select.ts'
import { zeroPointTensor } from './float8.ts'
import { isAttention } from './fused.ts'
import type { ActivationParameters } from './parameters.ts'
import type { QdqContext } from './qdq.ts'

/** Parameters of an activation, as initializers. */
interface Parameters {
  scale: Value
  zeroPoint: Value
}

interface Pair {
  quantize: Node
  dequantize: Node
}

/** Writes pairs of QuantizeLinear and DequantizeLinear after activations. */
export class ActivationPairs {
  readonly #context: QdqContext
  readonly #parameters = new Map<ActivationParameters, Parameters>()

  constructor(context: QdqContext) {
    this.#context = context
  }

  /**
   * Writes the pair of an activation, or several of them, where somebody reads it quantized.
   *
   * @param provider the activation that scale and zero point are called after
   * @returns number of pairs
   */
  write(value: Value, parameters: ActivationParameters, provider: Value): number {
    const narrowed = this.#writeNarrow(value, parameters, provider)
    const { options, nodes, strict } = this.#context
    const produced = value.producer !== undefined && nodes.has(value.producer)
    const uses = [...value.uses].filter(({ node }) => node !== narrowed)
    const integerReaders = uses.filter(({ node }) => nodes.has(node))
    const everyone = !options.sparePairs || strict.has(value) || (produced && !canGiveFloat(value))
    const count = narrowed ? 1 : 0
    if (!everyone && !integerReaders.length) return count
    // With an integer producer in front the float value exists nowhere.
    const readers = everyone || produced ? uses : integerReaders
    const takesOutput = value.isOutput && (everyone || produced)
    if (!readers.length && !takesOutput) return count
    const { graph, name } = value
    const initializers = this.#initializers(parameters, provider, '')
    let rest = readers
    let made = 0
    const own = new Set(options.dedicatedPairs ? integerReaders.map(({ node }) => node) : [])
    if (own.size > 1 || (own.size === 1 && takesOutput)) {
      for (const node of own) {
        made++
        const { dequantize } = this.#insert(value, parameters, initializers, `_${made}`)
        for (const use of integerReaders) if (use.node === node) node.setInput(use.index, dequantize.output())
      }
      // Others read the float value, unless it is not what it should be before it is rounded.
      rest = strict.has(value) ? readers.filter(({ node }) => !own.has(node)) : []
      if (!takesOutput && !rest.length) return count + made
    }
    const output = takesOutput ? `${name}_QuantizeLinear_Input` : undefined
    const { quantize, dequantize } = this.#insert(value, parameters, initializers, '', output)
    const { convert } = parameters
    const wants = (use: Use): boolean =>
      convert !== undefined && (convert.readers === undefined || convert.readers.includes(nameOf(use.node)))
    this.#repoint(
      rest.filter((use) => !wants(use)),
      { quantize, dequantize },
      initializers,
    )
    const wanting = rest.filter(wants)
    const last =
      convert && (wanting.length || !convert.readers)
        ? this.#convert(value, convert.parameters, dequantize, wanting)
        : dequantize.output()
    if (takesOutput) {
      const others = [...value.uses].filter(({ node }) => node !== quantize)
      graph.replace(value, convert && !convert.readers ? last : dequantize.output())
      quantize.setInput(0, value)
      for (const { node, index } of others) node.setInput(index, value)
    }
    return count + made + 1
  }

  /** A second pair, in another type, after the first. Returns what it gives. */
  #convert(value: Value, parameters: ActivationParameters, after: Node, readers: readonly Use[]): Value {
    const initializers = this.#initializers(parameters, value, '_convert')
    const source = after.output()
    const pair = this.#insert(source, parameters, initializers, '_convert', `${value.name}_convert_Output`)
    this.#repoint(readers, pair, initializers)
    return pair.dequantize.output()
  }

  /** The pair for integer products, where others read the value in another type. Returns its QuantizeLinear. */
  #writeNarrow(value: Value, { narrow }: ActivationParameters, provider: Value): Node | undefined {
    const { nodes } = this.#context
    const readers = narrow ? [...value.uses].filter(({ node }) => nodes.has(node) && isProduct(node)) : []
    if (!narrow || !readers.length) return undefined
    const initializers = this.#initializers(narrow, provider, '_narrow')
    const { quantize, dequantize } = this.#insert(value, narrow, initializers, '_narrow')
    this.#repoint(readers, { quantize, dequantize }, initializers)
    return quantize
  }

  /** ONNX Runtime looks for pairs within one graph: quantized nodes of a body get a DequantizeLinear there. */
  #repoint(readers: readonly Use[], { quantize, dequantize }: Pair, { scale, zeroPoint }: Parameters): void {
    const { domain, nodes } = this.#context
    const inBodies = new Map<Graph, Value>([[dequantize.graph, dequantize.output()]])
    for (const { node, index } of readers) {
      const { graph } = node
      let value = nodes.has(node) ? inBodies.get(graph) : dequantize.output()
      value ??= graph
        .insert(
          {
            op: 'DequantizeLinear',
            domain,
            name: dequantize.name,
            inputs: [quantize.output(), scale, zeroPoint],
            outputs: [dequantize.output().name],
            types: [dequantize.output().type],
          },
          { before: graph.firstNode },
        )
        .output()
      if (nodes.has(node)) inBodies.set(graph, value)
      node.setInput(index, value)
    }
  }

  #initializers(parameters: ActivationParameters, provider: Value, suffix: string): Parameters {
    const known = this.#parameters.get(parameters)
    if (known) return known
    const { name } = provider
    // Where bodies can read them as well.
    const { graph } = provider.graph.model
    const { scaleType, scale, type, zeroPoint } = parameters
    const made = {
      scale: graph.addInitializer(`${name}_scale${suffix}`, Tensor.from(scaleType, [], [scale])),
      zeroPoint: graph.addInitializer(`${name}_zero_point${suffix}`, zeroPointTensor(type, zeroPoint)),
    }
    this.#parameters.set(parameters, made)
    return made
  }

  #insert(
    value: Value,
    parameters: ActivationParameters,
    { scale, zeroPoint }: Parameters,
    suffix: string,
    output: string = `${value.name}_DequantizeLinear_Output${suffix}`,
  ): Pair {
    const { graph, name, type, shape } = value
    const domain = this.#context.domain
    const position: Position = value.producer ? { after: value.producer } : { before: graph.firstNode }
    const quantize = graph.insert(
      {
        op: 'QuantizeLinear',
        domain,
        name: `${name}_QuantizeLinear${suffix}`,
        inputs: [value, scale, zeroPoint],
        outputs: [`${name}_QuantizeLinear_Output${suffix}`],
        types: [tensorType(parameters.type, shape)],
      },
      position,
    )
    const dequantize = graph.insert(
      {
        op: 'DequantizeLinear',
        domain,
        name: `${name}_DequantizeLinear${suffix}`,
        inputs: [quantize.output(), scale, zeroPoint],
        outputs: [output],
        types: [type],
      },
      { after: quantize },
    )
    return { quantize, dequantize }
  }
}

function isProduct(node: Node): boolean {
  return node.opType === 'MatMul' || node.opType === 'Gemm' || isAttention(node)
}

/** True for integer products that ONNX Runtime can give a float result. */
function canGiveFloat({ producer }: Value): boolean {
  return producer !== undefined && isProduct(producer)
}
