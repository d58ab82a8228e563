import { int } from '../../../graph/attributes.ts'
import type { Node } from '../../../graph/node.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import type { Initializers, QuantizedConstant } from './constants.ts'

/** Gather of codes, dequantized afterwards: a table is never dequantized as a whole. */
export function gatherCodes(
  node: Node,
  constant: QuantizedConstant,
  { data, scale, zeroPoint }: Initializers,
  domain: string,
): { output: Value; result: Value } {
  const output = node.output()
  const { type } = output
  const dequantize = node.graph.insert(
    {
      op: 'DequantizeLinear',
      domain,
      name: `${output.name}_DequantizeLinear`,
      inputs: [output, scale, zeroPoint],
      attributes: constant.request.axis === undefined ? {} : { axis: int((output.rank ?? 0) - 1) },
      outputs: [`${output.name}_dequantized`],
      types: [type],
    },
    { after: node },
  )
  node.setInput(0, data)
  node.graph.replace(output, dequantize.output())
  dequantize.setInput(0, output)
  output.type = tensorType(constant.request.type, output.shape)
  return { output, result: dequantize.output() }
}
