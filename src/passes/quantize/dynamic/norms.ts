import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'

/** The end of a normalization: per channel of the last axis, values of unit variance times `gamma`, plus `beta`. */
export interface Norm {
  /** The node that computes the normalized value. */
  last: Node
  /** The inputs that hold the constants, as float32 vectors. */
  gamma: { node: Node; index: number; value: Value }
  beta: { node: Node; index: number; value: Value } | undefined
  channels: number
}

/** Inputs of gamma and beta, by operator. */
const OPERATORS: Readonly<Record<string, readonly [gamma: number, beta: number | undefined]>> = {
  LayerNormalization: [1, 2],
  RMSNormalization: [1, undefined],
  SimplifiedLayerNormalization: [1, undefined],
  'com.microsoft:SimplifiedLayerNormalization': [1, undefined],
  'com.microsoft:SkipLayerNormalization': [2, 3],
  'com.microsoft:SkipSimplifiedLayerNormalization': [2, undefined],
}

/**
 * The normalization whose result a value is: one of the operators, or its end written out as `Mul(x, gamma)` or
 * `Add(Mul(x, gamma), beta)` with an `x` that was divided by a root.
 */
export function findNorm(value: Value): Norm | undefined {
  const last = value.producer
  if (!last || value.outputIndex !== 0) return undefined
  const places = OPERATORS[last.qualifiedType]
  if (places) {
    if (last.is('LayerNormalization') && last.int('axis', -1) !== -1) {
      // Another way to name the last axis needs the rank to be recognized.
      if (last.int('axis', -1) !== (value.rank ?? 0) - 1) return undefined
    }
    const gamma = vector(last, places[0])
    const beta = places[1] !== undefined && last.input(places[1]) ? vector(last, places[1]) : undefined
    if (!gamma || (places[1] !== undefined && last.input(places[1]) && !beta)) return undefined
    return { last, gamma, beta, channels: gamma.value.constant!.elementCount }
  }
  if (last.is('Mul')) return scaled(last)
  if (!last.is('Add')) return undefined
  for (const index of [0, 1]) {
    const beta = vector(last, index)
    const mul: Node | undefined = last.input(1 - index)?.producer
    if (!beta || !mul?.is('Mul') || mul.output().onlyUser !== last) continue
    const inner: Norm | undefined = scaled(mul)
    if (inner?.channels === beta.value.constant!.elementCount) return { ...inner, last, beta }
  }
  return undefined
}

function scaled(mul: Node): Norm | undefined {
  for (const index of [0, 1]) {
    const gamma = vector(mul, index)
    if (gamma && isNormalized(mul.input(1 - index)))
      return { last: mul, gamma, beta: undefined, channels: gamma.value.constant!.elementCount }
  }
  return undefined
}

/** A float32 constant along the last axis. */
function vector(node: Node, index: number): Norm['gamma'] | undefined {
  const value = node.input(index)
  const tensor = value?.constant
  if (!value || tensor?.dtype !== 'float32' || tensor.elementCount < 2) return undefined
  return tensor.dims.at(-1) === tensor.elementCount ? { node, index, value } : undefined
}

/** True for `x / root` and `x * (1 / root)`. */
function isNormalized(value: Value | undefined): boolean {
  const node = value?.producer
  if (!node) return false
  if (node.is('Cast')) return isNormalized(node.input(0))
  if (node.is('Div')) return node.input(1)?.producer?.is('Sqrt') ?? false
  if (!node.is('Mul')) return false
  return node.inputs.some((input) => {
    const by = input?.producer
    return (by?.is('Reciprocal') || (by?.is('Div') && by.input(0)?.constant?.scalar() === 1)) ?? false
  })
}
