import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import type { Range } from '../calibrate/methods/types.ts'
import { replaceNode } from '../replace.ts'
import type { Marks } from './marks.ts'
import { type ActivationParameters, representable } from './parameters.ts'
import type { StaticOptions } from './settings.ts'

/**
 * What the operator itself says about ranges: Relu and Clip pass theirs on to what they alone read, Softmax gives 0..1, as an integer
 * operator in steps of 1/256; and what a device demands.
 */
export function adjustRanges(marks: Marks, ranges: Map<Value, Range>, options: StaticOptions): void {
  for (const node of marks.nodes) {
    const fixed = fixedRange(node, options)
    if (fixed) ranges.set(node.output(), fixed)
    const input = node.input(0)
    if (!isActivation(node) || input?.onlyUser !== node) continue
    const range = ranges.get(node.output())
    if (range) ranges.set(input, range)
  }
}

/** Ranges that give the scales which are fixed: a step is the range divided by 255, or by 65535. */
function fixedRange({ opType }: Node, { quantFormat, fixedScales, activationType }: StaticOptions): Range | undefined {
  const around = { min: -1, max: 32767 / 32768 }
  const wide = activationType.endsWith('16')
  if (opType === 'Softmax') return { min: 0, max: quantFormat === 'qoperator' ? 255 / 256 : 1 }
  if (opType === 'Sigmoid' && fixedScales === 'nnapi' && !wide) return { min: 0, max: 255 / 256 }
  if (fixedScales !== 'qnn' || !wide) return undefined
  if (opType === 'Sigmoid') return activationType === 'uint16' ? { min: 0, max: 65535 / 65536 } : around
  return opType === 'Tanh' ? around : undefined
}

/** A Pad of codes fills with a code of its input: where its value is in the input's range, the output shares that range. */
export function sharePads(marks: Marks, ranges: ReadonlyMap<Value, Range>): void {
  for (const node of marks.nodes) {
    if (node.opType !== 'Pad') continue
    const [input, output, fill] = [node.input(0)!, node.output(), node.input(2)?.constant?.scalar()]
    const range = ranges.get(marks.rootOf(input))
    if (fill === undefined || !range || marks.activations.get(output)) continue
    if (fill < range.min || fill > range.max) continue
    marks.activations.set(output, input)
    marks.constants.delete(node)
  }
}

/**
 * Removes Relu and Clip nodes whose work quantization does: the values that the codes of their output stand for are within their
 * limits. What comes before gives their output then.
 *
 * @returns outputs that must be read quantized by everybody
 */
export function removeActivations(
  marks: Marks,
  parameters: Map<Value, ActivationParameters>,
  options: StaticOptions,
): Set<Value> {
  const strict = new Set<Value>()
  if (options.activationSymmetric) return strict
  for (const node of [...marks.nodes]) {
    if (!isActivation(node)) continue
    const input = node.input(0)!
    const output = node.output()
    const found = parameters.get(output)
    if (!found || !parameters.has(input) || !input.producer || input.onlyUser !== node) continue
    const limits = limitsOf(node)
    const codes = representable(found)
    // Zero has a code of its own, which moves both ends by half a step at most: no more than rounding does.
    const slack = 0.501 * found.scale
    if (!limits || codes.min < limits.min - slack || codes.max > limits.max + slack) continue
    parameters.delete(input)
    parameters.delete(output)
    parameters.set(input, found)
    // Readers of the shared parameters look for them under the value that stays.
    for (const [value, provider] of marks.activations) if (provider === output) marks.activations.set(value, input)
    marks.activations.set(input, marks.activations.get(output) === input ? undefined : marks.activations.get(output))
    marks.activations.delete(output)
    marks.nodes.delete(node)
    strict.delete(output)
    replaceNode(node, input)
    strict.add(input)
  }
  return strict
}

function isActivation(node: Node): boolean {
  return node.opType === 'Relu' || node.opType === 'Clip'
}

function limitsOf(node: Node): Range | undefined {
  if (node.opType === 'Relu') return { min: 0, max: Number.POSITIVE_INFINITY }
  const limit = (index: number, attribute: string, open: number): number | undefined => {
    const value = node.input(index)
    return value ? value.constant?.scalar() : (node.float(attribute) ?? open)
  }
  const min = limit(1, 'min', Number.NEGATIVE_INFINITY)
  const max = limit(2, 'max', Number.POSITIVE_INFINITY)
  return min === undefined || max === undefined ? undefined : { min, max }
}
