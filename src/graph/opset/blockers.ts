import type { Model } from '../model.ts'
import type { Node } from '../node.ts'

type Check = boolean | ((node: Node) => boolean)

/**
 * Operators whose meaning or inputs changed at an operator set between 8 and 11: raising a model's version past it would
 * break them. Changes that only add element types, inputs or attributes with the old behaviour as default are not listed.
 */
const CHANGED: Readonly<Record<string, readonly (readonly [since: number, Check])[]>> = {
  BatchNormalization: [[9, (node) => node.int('spatial', 1) !== 1 || node.outputs.length > 1]],
  Clip: [[11, (node) => node.attributes.size > 0]],
  Dropout: [[10, (node) => Boolean(node.outputs[1])]],
  Pad: [[11, true]],
  Resize: [[11, true]],
  Scan: [[9, true]],
  Scatter: [[11, true]],
  Slice: [[10, (node) => node.attributes.has('starts')]],
  TopK: [[10, (node) => node.attributes.has('k')]],
  Upsample: [
    [9, true],
    [10, true],
  ],
}

/** Versions below this had implicit broadcasting and other rules: models that old are not raised. */
const OLDEST = 7

/** Operator types that keep a model from being declared as of a higher operator set; empty if it can be. At most opset 11. */
export function blockersOf(model: Model, target: number): string[] {
  const { opset } = model
  if (opset < OLDEST) return ['all of them']
  const blockers = new Set<string>()
  for (const node of model.graph.allNodes()) {
    if (node.domain !== '' && node.domain !== 'ai.onnx') continue
    for (const [since, check] of CHANGED[node.opType] ?? [])
      if (opset < since && since <= target && (check === true || (check !== false && check(node))))
        blockers.add(node.opType)
  }
  return [...blockers].sort()
}
