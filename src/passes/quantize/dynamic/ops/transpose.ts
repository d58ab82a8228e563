import { tensorType } from '../../../../graph/types.ts'
import { replaceNode } from '../../replace.ts'
import { nameOf } from '../../select.ts'
import type { Handler } from '../tools.ts'

/** Transpose of what is quantized already moves 8-bit codes; the floats follow after it. */
export const transpose: Handler = {
  op: 'Transpose',
  domain: '',
  quantize(node, { activations, leftovers }) {
    const input = node.input(0)
    const floats = input?.producer
    if (!input || !floats?.is('DequantizeLinear')) return 'skipped'
    const known = activations.known(input, node.graph)
    if (!known) return 'skipped'
    const { graph } = node
    const output = node.output()
    const moved = graph.insert(
      {
        op: 'Transpose',
        name: `${nameOf(node)}_quant`,
        inputs: [known.data],
        attributes: Object.fromEntries(node.attributes),
        outputs: [`${output.name}_quantized`],
        types: [tensorType('uint8', output.shape)],
      },
      { before: node },
    )
    const result = graph.insert(
      {
        op: 'DequantizeLinear',
        name: `${output.name}_DequantizeLinear`,
        inputs: [moved.output(), known.scale, known.zeroPoint],
        outputs: [`${output.name}_dequantized`],
        types: [tensorType('float32', output.shape)],
      },
      { before: node },
    )
    replaceNode(node, result.output())
    activations.register(result.output(), { ...known, data: moved.output() }, graph)
    leftovers.add(input).add(result.output())
    return 'done'
  },
}
