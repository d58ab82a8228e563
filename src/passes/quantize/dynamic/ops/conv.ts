import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import type { DType } from '../../../../onnx/dtypes.ts'
import { replaceNode } from '../../replace.ts'
import { nameOf } from '../../select.ts'
import { findWeight } from '../../weight.ts'
import { emitProduct } from '../product.ts'
import { codeRange, type Handler, isSymmetric, left, type Tools } from '../tools.ts'

const ATTRIBUTES = ['auto_pad', 'dilations', 'group', 'kernel_shape', 'pads', 'strides'] as const

/**
 * Conv with constant weights -> ConvInteger [+ Add of the bias]. ConvInteger knows one zero point only; scales per output channel
 * are possible all the same, because they are applied afterwards: as [C, 1, 1] they fit the result.
 */
export const conv: Handler = {
  op: 'Conv',
  domain: '',
  quantize(node, tools) {
    const [x, w, bias] = [node.input(0), node.input(1), node.input(2)]
    if (!x || !w) return 'skipped'
    const found = findWeight(w)
    if (!found || found.transposed) return left('its weight is computed at run time')
    const { options, weights } = tools
    const rank = found.tensor.dims.length
    if (rank < 3) return left(`its weight has ${rank} axes`)
    const type = options.weightType ?? 'uint8'
    const range = codeRange(options)
    const weight = weights.get(found.root, {
      type,
      symmetric: options.perChannel || isSymmetric(options, type),
      // ConvInteger multiplies exactly whatever the weights are.
      range: range === 'safe' ? 'full' : range,
      axis: options.perChannel ? 0 : undefined,
    })
    if (typeof weight === 'string') return left(weight)
    const spatial = Array.from({ length: rank - 2 }, () => 1)
    const scale = options.perChannel
      ? weights.derive(weight.scale, 'channels', () =>
          Tensor.float32([weight.scales.scales.length, ...spatial], weight.scales.scales),
        )
      : weight.scale
    let result = emitProduct({
      node,
      op: 'ConvInteger',
      activation: tools.activations.quantize(x, found.dtype, node),
      weight: { ...weight, scale },
      dtype: found.dtype,
      attributes: Object.fromEntries(ATTRIBUTES.map((name) => [name, node.attributes.get(name)])),
    })
    if (bias) {
      const { graph } = node
      const addend = biasPerChannel(bias, found.dtype, spatial, node, tools)
      const sum = graph.insert(
        {
          op: 'Add',
          name: `${nameOf(node)}_bias_add`,
          inputs: [result, addend],
          outputs: [`${node.output().name}_biased`],
          types: [node.output().type],
        },
        { before: node },
      )
      result = sum.output()
      tools.leftovers.add(bias)
    }
    tools.leftovers.add(w)
    if (weight.scale !== scale) tools.leftovers.add(weight.scale)
    replaceNode(node, result)
    return 'done'
  },
}

/** The bias as [C, 1, 1]. */
function biasPerChannel(bias: Value, dtype: DType, spatial: readonly number[], node: Node, { weights }: Tools): Value {
  const constant = bias.constant
  if (constant?.dtype === dtype && constant.dims.length === 1)
    return weights.derive(bias, 'channels', () => constant.reshaped([...constant.dims, ...spatial]))
  const { graph } = node
  const shape = graph.addInitializer(`${nameOf(node)}_bias_shape`, Tensor.int64([-1, ...spatial]))
  return graph
    .insert(
      {
        op: 'Reshape',
        name: `${nameOf(node)}_bias_reshape`,
        inputs: [bias, shape],
        outputs: [`${bias.name}_channels`],
      },
      { before: node },
    )
    .output()
}
