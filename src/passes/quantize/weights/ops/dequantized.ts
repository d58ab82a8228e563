import { int, ints } from '../../../../graph/attributes.ts'
import type { Graph } from '../../../../graph/graph.ts'
import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import { tensorType } from '../../../../graph/types.ts'
import type { Value } from '../../../../graph/value.ts'
import { channelLayout, type QuantizedBlocks } from '../../../../kernels/index.ts'
import { floatTensor, initializer } from '../initializers.ts'
import type { Job } from '../jobs.ts'
import { blockOptions, type Matrix, type Outcome, type Tools } from '../tools.ts'

/** Puts DequantizeLinear in front of a product: the weight in its own order, as 4- or 8-bit integers. */
export function planDequantized(node: Node, matrix: Matrix, tools: Tools): Outcome {
  const { weight } = matrix
  const { root, tensor } = weight
  const { symmetric } = tools.options
  const rank = tensor.dims.length
  const axis = matrix.layout.inner === 1 ? rank - 1 : rank - 2
  const { outer, channels, inner } = channelLayout(tensor.dims, axis)
  const options = { ...blockOptions(tools, weight), order: 'original', signed: symmetric } as const
  const job = tools.jobs.blocks(root, { layout: { outer, length: channels, inner }, options })
  if (typeof job === 'string') return { reason: job }
  const graphs = tools.readers.get(root) ?? new Set()
  tools.readers.set(root, graphs.add(node.graph))
  return {
    job,
    emit() {
      const before = node.input(1)!
      node.setInput(1, dequantized(node, matrix, job, axis, tools))
      tools.leftovers.add(before)
    },
  }
}

function dequantized(node: Node, { weight }: Matrix, job: Job<QuantizedBlocks>, axis: number, tools: Tools): Value {
  const { bits, blockSize, symmetric } = tools.options
  const { root, tensor, dtype, transposed } = weight
  // ONNX Runtime makes MatMulNBits of it, and looks for the codes in the graph of the product only. What several graphs read is
  // dequantized outside of them, rather than kept several times.
  const graph = tools.readers.get(root)!.size === 1 ? node.graph : root.graph
  const key = `${root.name}\u0000${dtype}\u0000${axis}\u0000${transposed}`
  const known = tools.shared.get(key)
  if (known?.graph === graph) return known
  const { codes, scales, zeroPoints, blocks } = job.result!
  const type = `${symmetric ? 'int' : 'uint'}${bits as 4 | 8}` as const
  const perBlock = tensor.dims.map((dim, i) => (i === axis ? blocks : dim))
  const name = `DQ_Q${bits}`
  const inputs = [
    initializer(job, name, () => Tensor.of(type, tensor.dims, codes), graph),
    initializer(job, `DQ_scales_${dtype}`, () => floatTensor(dtype, perBlock, scales), graph),
  ]
  if (zeroPoints) inputs.push(initializer(job, 'DQ_zero_points', () => Tensor.of(type, perBlock, zeroPoints), graph))
  // nodes are rewritten in order, so this is the first reader
  const before = { before: ancestorIn(graph, node) }
  let value = graph
    .insert(
      {
        op: 'DequantizeLinear',
        name: `${root.name}_DequantizeLinear`,
        inputs,
        attributes: { axis: int(axis), block_size: int(blockSize) },
        outputs: [`${root.name}_dequantized`],
        types: [tensorType(dtype, tensor.dims)],
      },
      before,
    )
    .output()
  if (transposed)
    value = graph
      .insert(
        {
          op: 'Transpose',
          name: `${root.name}_Transpose`,
          inputs: [value],
          attributes: { perm: ints([1, 0]) },
          outputs: [`${root.name}_transposed`],
          types: [tensorType(dtype, [...tensor.dims].reverse())],
        },
        before,
      )
      .output()
  tools.shared.set(key, value)
  return value
}

/** The node of a graph that is `node`, or has it in a body. */
function ancestorIn(graph: Graph, node: Node): Node {
  let at = node
  while (at.graph !== graph) at = at.graph.owner!
  return at
}
