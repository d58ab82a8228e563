import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { codeReader, type QuantizedType } from '../../kernels/index.ts'

/** An activation of the float model, and where the quantized model has it. */
export interface MatchedActivation {
  /** The float model's name. */
  name: string
  /** The quantized model's value after rounding, or the only form it has there. */
  found: string
  /** The quantized model's value before it is rounded; undefined where nothing rounds it, or it exists as codes only. */
  before?: string
  /** For values that exist as codes: what they mean. */
  codes?: { scale: number; zeroPoint: number }
}

/** What quantization tools, this one too, put behind the name of a value. */
const SUFFIX = /_(QuantizeLinear_Input|DequantizeLinear_Output(_\d+)?|quantized|dequantized|convert_Output)$/

/**
 * Finds the activations of a float model in what quantization made of it: by name, through pairs of QuantizeLinear and DequantizeLinear,
 * and as codes of integer operators. In the order in which the float model computes them.
 */
export function matchActivations(reference: Model, quantized: Model): MatchedActivation[] {
  const floats = [...reference.graph.inputs, ...outputsOf(reference)].filter(
    (value) => value.isFloat && !value.constant,
  )
  const wanted = new Set(floats.map(({ name }) => name))
  const found = new Map<string, MatchedActivation>()
  for (const value of outputsOf(quantized)) {
    const match = matchOf(value, wanted)
    const known = match && found.get(match.name)
    // A pair tells more than a value that only has the name.
    if (match && (!known || (match.before !== undefined && known.before === undefined))) found.set(match.name, match)
  }
  return floats.flatMap(({ name }) => found.get(name) ?? [])
}

function outputsOf({ graph }: Model): Value[] {
  return [...graph.nodes()].flatMap(({ outputs }) => outputs).filter((value) => value !== null)
}

function matchOf(value: Value, wanted: ReadonlySet<string>): MatchedActivation | undefined {
  const plain = (name: string): string | undefined =>
    [name, name.replace(SUFFIX, '')].find((candidate) => wanted.has(candidate))
  if (value.isFloat) {
    const source = value.producer?.opType === 'DequantizeLinear' ? value.producer.input(0)?.producer : undefined
    const before = source?.opType === 'QuantizeLinear' ? source.input(0) : undefined
    const name = (before && plain(before.name)) ?? plain(value.name)
    if (name === undefined || before?.constant) return undefined
    return { name, found: value.name, ...(before ? { before: before.name } : {}) }
  }
  const name = /_quantized$/.test(value.name) ? plain(value.name) : undefined
  const codes = name === undefined ? undefined : meaningOf(value)
  return codes && { name: name!, found: value.name, codes }
}

/** Scale and zero point of codes: what some reader is given behind them. */
function meaningOf(value: Value): MatchedActivation['codes'] {
  for (const { node, index } of value.uses) {
    const scale = node.input(index + 1)?.constant?.scalar()
    const zeroPoint = node.input(index + 2)?.constant?.scalar()
    if (scale !== undefined && zeroPoint !== undefined) return { scale, zeroPoint }
  }
  return undefined
}

/** The numbers that codes stand for. */
export function meaning(tensor: Tensor, { scale, zeroPoint }: { scale: number; zeroPoint: number }): Float32Array {
  const at = codeReader(tensor.bytes(), tensor.dtype as QuantizedType)
  return Float32Array.from({ length: tensor.elementCount }, (_, i) => (at(i) - zeroPoint) * scale)
}

/** The node that computes each value of the main graph, by the value's name. */
export function producers({ graph }: Model): Map<string, Node> {
  const nodes = new Map<string, Node>()
  for (const node of graph.nodes()) for (const value of node.outputs) if (value) nodes.set(value.name, node)
  return nodes
}
