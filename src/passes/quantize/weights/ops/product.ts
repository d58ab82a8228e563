import { int, ints } from '../../../../graph/attributes.ts'
import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import type { Bnb4, QuantizedBlocks } from '../../../../kernels/index.ts'
import { nameOf } from '../../select.ts'
import { blockParameters, floatTensor, initializer } from '../initializers.ts'
import type { BlockRequest, Job } from '../jobs.ts'
import { blockOptions, CONTRIB, type Matrix, type Tools } from '../tools.ts'

/** A product whose weight is planned: gives its job, and its result once that has run. */
export interface PlannedProduct {
  job: Job
  emit(): Value
}

/** Plans the product of a node's first input and a matrix in the format that the options ask for. A text tells why not. */
export function planProduct(node: Node, matrix: Matrix, tools: Tools): PlannedProduct | string {
  const { options, jobs, device } = tools
  const { root, dtype } = matrix.weight
  const input = fitRank(matrix, node)
  if (typeof input === 'string') return input
  if (options.quantize === 'bnb4') {
    if (dtype !== 'float32' && (device === 'cpu' || device === 'wasm')) return `MatMulBnb4 takes no ${dtype} there`
    const request = { layout: matrix.layout, bnb4: options.bnbType, blockSize: options.blockSize }
    const job = jobs.bnb4(root, request)
    if (typeof job === 'string') return job
    return { job, emit: () => emitBnb4(node, input(), matrix, job, tools) }
  }
  const job = jobs.blocks(root, { layout: matrix.layout, options: blockOptions(tools, matrix.weight) })
  if (typeof job === 'string') return job
  return { job, emit: () => emitBlocks(node, input(), matrix, job, tools) }
}

/** Weights of higher rank give the product at least their rank: such activations get leading axes of 1. */
function fitRank({ rank }: Matrix, node: Node): (() => Value) | string {
  // read when the node is rewritten: until then what gives the activation may have been rewritten too
  const activation = (): Value => node.input(0)!
  if (rank === 2) return activation
  const own = activation().rank
  if (own === undefined) return `its weight has rank ${rank}, and the rank of its input is not known`
  const missing = (own === 1 ? rank - 1 : rank) - own
  if (missing <= 0) return activation
  return () => {
    const axes = Array.from({ length: missing }, (_, i) => i)
    const { graph } = node
    const asInput = graph.model.opset >= 13
    return graph
      .insert(
        {
          op: 'Unsqueeze',
          inputs: asInput
            ? [activation(), graph.addInitializer(`${nameOf(node)}_axes`, Tensor.int64(axes))]
            : [activation()],
          attributes: asInput ? {} : { axes: ints(axes) },
        },
        { before: node },
      )
      .output()
  }
}

function emitBlocks(
  node: Node,
  input: Value,
  { length, columns, weight: { dtype } }: Matrix,
  job: Job<QuantizedBlocks>,
  tools: Tools,
): Value {
  const { blockSize, accuracyLevel } = tools.options
  const { bits } = (job.request as BlockRequest).options
  const { codes, blocks } = job.result!
  const data = initializer(job, `Q${bits}`, () => Tensor.of('uint8', [columns, blocks, (blockSize * bits) / 8], codes))
  return insertProduct(
    node,
    `Q${bits}`,
    'MatMulNBits',
    [input, data, ...blockParameters(job, dtype, columns, node, tools)],
    {
      K: int(length),
      N: int(columns),
      bits: int(bits),
      block_size: int(blockSize),
      accuracy_level: accuracyLevel ? int(accuracyLevel) : undefined,
    },
  )
}

function emitBnb4(
  node: Node,
  input: Value,
  { length, columns, weight: { dtype } }: Matrix,
  job: Job<Bnb4>,
  { options }: Tools,
): Value {
  const { codes, magnitudes } = job.result!
  const data = initializer(job, 'Bnb4', () => Tensor.of('uint8', [codes.length], codes))
  const scales = initializer(job, `absmax_${dtype}`, () => floatTensor(dtype, [magnitudes.length], magnitudes))
  return insertProduct(node, 'Bnb4', 'MatMulBnb4', [input, data, scales], {
    K: int(length),
    N: int(columns),
    block_size: int(options.blockSize),
    quant_type: int(options.bnbType === 'nf4' ? 1 : 0),
  })
}

function insertProduct(
  node: Node,
  suffix: string,
  op: string,
  inputs: (Value | null)[],
  attributes: Parameters<Node['graph']['insert']>[0]['attributes'],
): Value {
  const { graph } = node
  graph.model.useDomain(CONTRIB)
  const type = node.output().type
  return graph
    .insert(
      {
        op,
        domain: CONTRIB,
        name: `${nameOf(node)}_${suffix}`,
        inputs,
        attributes: attributes ?? {},
        outputs: [`${node.output().name}_${suffix}`],
        types: [type],
      },
      { before: node },
    )
    .output()
}
