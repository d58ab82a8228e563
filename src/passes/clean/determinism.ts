import type { Node } from '../../graph/node.ts'

/** Operators of the standard domain that may give other results for the same inputs. */
const RANDOM = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
])

/** Operators of ONNX Runtime's own domain that draw random numbers or have effects besides their outputs. */
const CONTRIB_RANDOM = new Set([
  'BiasDropout',
  'BitmaskBiasDropout',
  'BitmaskDropout',
  'DropoutGrad',
  'RandomSample',
  'Sampling',
])

/** Domains whose operators are known to do nothing but compute their outputs. */
const PURE_DOMAINS = new Set(['', 'ai.onnx', 'ai.onnx.ml', 'com.microsoft'])

/** True for an operator of the standard domain (which has two names). */
export function isStandard(node: Node): boolean {
  return node.domain === '' || node.domain === 'ai.onnx'
}

/** True if the node can go away when nobody reads its outputs: an operator of an unknown domain might do more than compute. */
export function isPure(node: Node): boolean {
  const { functions } = node.graph.model
  if (PURE_DOMAINS.has(node.domain)) return true
  return functions.some(({ name, domain }) => name === node.opType && domain === node.domain)
}

/** True if equal inputs and attributes always give equal outputs. Nodes with subgraphs are not looked into: false. */
export function isDeterministic(node: Node): boolean {
  if (!PURE_DOMAINS.has(node.domain) || node.subgraphs.length) return false
  if (node.domain === 'com.microsoft') return !CONTRIB_RANDOM.has(node.opType)
  // Dropout draws numbers only in training mode, an input since version 12.
  if (node.opType === 'Dropout') return !node.input(2)
  return !RANDOM.has(node.opType)
}

/** True if an attribute gets its value from the caller of the function that the node belongs to. */
export function hasReference(node: Node): boolean {
  for (const { kind } of node.attributes.values()) if (kind === 'reference') return true
  return false
}
