import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import { nameOf } from '../select.ts'
import type { CodeType } from './float8.ts'
import type { Marks } from './marks.ts'
import type { Conversion, StaticOptions, TensorOverride, TensorOverrides } from './settings.ts'

/**
 * Completes types that the user gave some activations, so that every operator reads and gives one type: what goes into the operator that
 * gives such an activation is converted to its type first, and the activation is converted back for all readers that work in
 * the usual type.
 *
 * @throws OnnxError `OVERRIDES_INVALID` where one activation would have to be converted to two types
 */
export function completeOverrides(marks: Marks, overrides: TensorOverrides, options: StaticOptions): TensorOverrides {
  const usual = options.activationType
  const complete = new Map<string, TensorOverride>(overrides)
  const typeOf = (value: Value): CodeType => overrides.get(marks.rootOf(value).name)?.type ?? usual
  const isActivation = (value: Value | null | undefined): value is Value => value != null && marks.has(value)
  /** The type that a node works in: that of what it gives. */
  const typeOfNode = (node: Node): CodeType => {
    const output = node.outputs.find(isActivation)
    return output ? typeOf(output) : usual
  }
  const convert = (value: Value, type: CodeType, reader: Node): void => {
    const known = complete.get(value.name)
    // What the user said goes first.
    if (overrides.get(value.name)?.convert) return
    if (known?.convert && known.convert.type !== type)
      throw new OnnxError(
        'OVERRIDES_INVALID',
        `"${value.name}" would have to be converted to ${type} and ${known.convert.type}`,
        {
          hint: 'Give the operators that read it one type.',
        },
      )
    const readers = [...new Set([...(known?.convert?.readers ?? []), nameOf(reader)])]
    complete.set(value.name, { ...known, convert: { type: type as Conversion['type'], readers } })
  }
  for (const node of marks.nodes) {
    const type = typeOfNode(node)
    for (const input of node.inputs) if (isActivation(input) && typeOf(input) !== type) convert(input, type, node)
  }
  // Constants that operators of several types read keep the usual one.
  const constants = new Map<string, Set<CodeType>>()
  for (const [node, byIndex] of marks.constants)
    for (const { kind, weight } of byIndex.values()) {
      if (kind !== 'operand') continue
      const types = constants.get(weight.root.name) ?? new Set()
      constants.set(weight.root.name, types.add(typeOfNode(node)))
    }
  for (const [name, [type, other]] of constants)
    if (type !== usual && other === undefined && !complete.has(name))
      complete.set(name, { type: type as NonNullable<TensorOverride['type']> })
  return complete
}
