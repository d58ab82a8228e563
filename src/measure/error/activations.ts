import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { codeReader, type QuantizedType } from '../../kernels/index.ts'

/** An activation of the float model, and where the quantized model has it. */
export interface MatchedActivation {
  /** The float model's. */
  float: Value
  /** The quantized model's value after rounding, or the only form it has there. */
  found: Value
  /** The quantized model's value before it is rounded; undefined where nothing rounds it, or it exists as codes only. */
  before?: Value
  /** For values that exist as codes: what they mean. */
  codes?: { scale: number; zeroPoint: number }
}

/** What quantization tools, this one too, put behind the name of a value. */
const SUFFIX = /_(QuantizeLinear_Input|DequantizeLinear_Output(_\d+)?|quantized|dequantized|convert_Output)$/

/**
 * Finds the activations of a float model in what quantization made of it: by name, through pairs of QuantizeLinear and DequantizeLinear,
 * and as codes of integer operators. Values of bodies are found in the same body. In the order in which the float model computes them.
 */
export function matchActivations(reference: Model, quantized: Model): MatchedActivation[] {
  const floats = [...reference.graph.inputs, ...computed(reference.graph)].filter(
    (value) => value.isFloat && !value.constant,
  )
  const wanted = new Map(floats.map((value) => [keyOf(value, value.name), value]))
  const found = new Map<Value, MatchedActivation>()
  for (const value of computed(quantized.graph)) {
    const match = matchOf(value, wanted)
    const known = match && found.get(match.float)
    if (match && (!known || closeness(match) > closeness(known))) found.set(match.float, match)
  }
  return floats.flatMap((value) => found.get(value) ?? [])
}

/** A pair tells more than a value that only has the name, and that more than one with something behind its name. */
function closeness({ float, found, before }: MatchedActivation): number {
  return before ? 2 : found.name === float.name ? 1 : 0
}

/** Everything that nodes give, and what bodies are given, in order. */
function* computed(graph: Graph): Generator<Value> {
  for (const node of graph.nodes()) {
    for (const body of node.subgraphs) {
      yield* body.inputs
      yield* computed(body)
    }
    for (const value of node.outputs) if (value) yield value
  }
}

/** A name together with the bodies that it belongs to: two branches may use the same. */
function keyOf({ graph }: Value, name: string): string {
  let key = name
  for (let at = graph; at.owner; at = at.owner.graph) {
    const { owner } = at
    const attribute = [...owner.attributes].find(([, value]) => value.kind === 'graph' && value.value === at)?.[0]
    const called = owner.name || owner.outputs.find((value) => value)?.name.replace(SUFFIX, '')
    key = `${called}\u0000${attribute}\u0000${key}`
  }
  return key
}

function matchOf(value: Value, wanted: ReadonlyMap<string, Value>): MatchedActivation | undefined {
  const plain = (value: Value): Value | undefined =>
    wanted.get(keyOf(value, value.name)) ?? wanted.get(keyOf(value, value.name.replace(SUFFIX, '')))
  if (value.isFloat) {
    const source = value.producer?.opType === 'DequantizeLinear' ? value.producer.input(0)?.producer : undefined
    const before = source?.opType === 'QuantizeLinear' ? source.input(0) : undefined
    const float = (before && plain(before)) ?? plain(value)
    if (float === undefined || before?.constant) return undefined
    return { float, found: value, ...(before ? { before } : {}) }
  }
  const float = /_quantized$/.test(value.name) ? plain(value) : undefined
  const codes = float && meaningOf(value)
  return codes && { float, found: value, codes }
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
