import { type AttributeValue, float, floats, int, ints, string } from '../graph/attributes.ts'
import type { Node } from '../graph/node.ts'
import { type AttributeTests, Failure } from './pattern.ts'

/** Defaults that ONNX gives to attributes that rules ask for, by operator. */
const DEFAULTS: { readonly [op: string]: { readonly [attribute: string]: number | string | readonly number[] } } = {
  Gemm: { alpha: 1, beta: 1, transA: 0, transB: 0 },
  LayerNormalization: { axis: -1, epsilon: 1e-5, stash_type: 1 },
  SimplifiedLayerNormalization: { axis: -1, epsilon: 1e-5, stash_type: 1 },
  RMSNormalization: { axis: -1, epsilon: 1e-5, stash_type: 1 },
  BatchNormalization: { epsilon: 1e-5, momentum: 0.9, training_mode: 0 },
  InstanceNormalization: { epsilon: 1e-5 },
  Conv: { group: 1, auto_pad: 'NOTSET' },
  ConvTranspose: { group: 1, auto_pad: 'NOTSET' },
  Gather: { axis: 0 },
  Gelu: { approximate: 'none' },
  Pad: { mode: 'constant' },
  LeakyRelu: { alpha: 0.01 },
  Flatten: { axis: 1 },
  ReduceMean: { keepdims: 1, noop_with_empty_axes: 0 },
  ReduceSum: { keepdims: 1, noop_with_empty_axes: 0 },
  ReduceMax: { keepdims: 1, noop_with_empty_axes: 0 },
}

/** Attributes that are floats even where a rule writes an integer. */
const FLOATS = new Set([
  'alpha',
  'beta',
  'epsilon',
  'gamma',
  'mask_filter_value',
  'momentum',
  'ratio',
  'scale',
  'softcap',
  'activation_alpha',
  'activation_beta',
  'activation_gamma',
  'activation_params',
])

function attributeValue(node: Node, name: string): number | string | readonly number[] | undefined {
  const attribute = node.attributes.get(name)
  switch (attribute?.kind) {
    case undefined:
      return DEFAULTS[node.opType]?.[name]
    case 'int':
      return Number(attribute.value)
    case 'ints':
      return attribute.value.map(Number)
    case 'float':
    case 'floats':
      return attribute.value
    case 'string':
      return node.string(name)
    default:
      return undefined
  }
}

function same(
  found: number | string | readonly number[] | undefined,
  wanted: number | string | readonly number[],
): boolean {
  if (typeof wanted === 'number' && typeof found === 'number')
    return Math.abs(found - wanted) <= 1e-6 * Math.abs(wanted)
  if (typeof wanted === 'object' && typeof found === 'object')
    return wanted.length === found.length && wanted.every((item, i) => same(found[i], item))
  return found === wanted
}

/** Why a node does not have the wanted attributes, or undefined if it has. */
export function attributeMismatch(node: Node, tests: AttributeTests): Failure | undefined {
  for (const [name, test] of Object.entries(tests)) {
    if (typeof test === 'function') {
      const verdict = test(node)
      if (verdict !== true) return verdict || new Failure(`${name} was refused`, node)
      continue
    }
    const found = attributeValue(node, name)
    if (!same(found, test))
      return new Failure(`${name} is ${found === undefined ? 'not given' : `[${found}]`}, not [${test}]`, node)
  }
  return undefined
}

/** What a replacement may write for attributes: plain values (integers become ints unless the attribute is known to be a float), or ready attributes. Undefined is left out. */
export type AttributeInputs = {
  readonly [name: string]: number | string | readonly number[] | AttributeValue | undefined
}

/** Ready attributes from what a replacement wrote. */
export function attributesFrom(inputs: AttributeInputs): Record<string, AttributeValue> {
  const attributes: Record<string, AttributeValue> = {}
  for (const [name, input] of Object.entries(inputs)) {
    if (input === undefined) continue
    if (typeof input === 'string') attributes[name] = string(input)
    else if (typeof input === 'number')
      attributes[name] = FLOATS.has(name) || !Number.isInteger(input) ? float(input) : int(input)
    else if ('kind' in input) attributes[name] = input
    else attributes[name] = FLOATS.has(name) || !input.every(Number.isInteger) ? floats(input) : ints(input)
  }
  return attributes
}
