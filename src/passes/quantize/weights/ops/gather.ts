import { int } from '../../../../graph/attributes.ts'
import type { Node } from '../../../../graph/node.ts'
import { elementsIn, Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import { channelLayout, type QuantizedBlocks } from '../../../../kernels/index.ts'
import { replaceNode } from '../../replace.ts'
import { nameOf } from '../../select.ts'
import { findWeight, type Weight } from '../../weight.ts'
import { blockParameters, initializer, scaleInput } from '../initializers.ts'
import type { Job } from '../jobs.ts'
import { blockOptions, CONTRIB, type Handler, left, type Outcome, type Tools } from '../tools.ts'

/** int4 and uint4 tensors exist from this version of the file format on. */
const INT4_IR_VERSION = 10

/** Gather from a constant table -> GatherBlockQuantized. */
export const gather: Handler = {
  op: 'Gather',
  plan(node, tools) {
    const table = node.input(0)
    const found = findWeight(table)
    if (!table || !found || tools.options.quantize !== 'weights') return 'skipped'
    if (!['float32', 'float16', 'bfloat16'].includes(found.dtype)) return 'skipped'
    if (!tools.options.embeddings && !tools.tied.has(found.root)) return 'skipped'
    if (tools.options.weightFormat === 'qdq')
      return left('Gather has no form with DequantizeLinear that does not unpack the whole table')
    const { dims } = found.tensor
    // Positions, scalars and the like: nothing to win.
    if (dims.length < 2 || elementsIn(dims) < tools.options.blockSize) return 'skipped'
    if (found.transposed) return left('its table is transposed')
    const raw = node.int('axis', 0)
    const axis = raw < 0 ? raw + dims.length : raw
    const perByte = 8 / tools.options.bits
    const plan = axis === 0 && dims.at(-1)! % perByte === 0 ? planBytes : planInt4
    return plan({ node, table, found, axis }, tools)
  },
}

interface Place {
  node: Node
  table: Value
  found: Weight
  axis: number
}

/** Codes packed to bytes along the last axis: the form that a product can share, and that needs no new element types. */
function planBytes(place: Place, tools: Tools): Outcome {
  const { root, tensor, dtype } = place.found
  const { bits, blockSize } = tools.options
  const width = tensor.dims.at(-1)!
  const rows = elementsIn(tensor.dims) / width
  const job = tools.jobs.blocks(root, {
    layout: { outer: rows, length: width, inner: 1 },
    options: blockOptions(tools, place.found),
  })
  if (typeof job === 'string') return left(job)
  return {
    job,
    emit() {
      const dims = [...tensor.dims.slice(0, -1), (width * bits) / 8]
      const isTied = tools.tied.has(root) && width % blockSize === 0
      const data = isTied
        ? tiedCodes(place.node, job, dims, tools)
        : initializer(job, `table_Q${bits}`, () => tableOf(job, dims))
      const parameters = blockParameters(job, dtype, rows, place.node, tools).map((value) =>
        value && tensor.dims.length > 2 ? reshaped(job, value, tensor.dims) : value,
      )
      emit(
        place,
        [data, place.node.input(1)!, ...parameters],
        { quantizeAxis: tensor.dims.length - 1, isBytes: true },
        tools,
      )
    },
  }
}

/** Packed rows without what fills up their last block. */
function tableOf(job: Job<QuantizedBlocks>, dims: readonly number[]): Tensor {
  const { codes } = job.result!
  const bytes = dims.at(-1)!
  const rows = elementsIn(dims) / bytes
  const wide = codes.length / rows
  if (wide === bytes) return Tensor.of('uint8', dims, codes)
  const cropped = new Uint8Array(rows * bytes)
  for (let row = 0; row < rows; row++) cropped.set(codes.subarray(row * wide, row * wide + bytes), row * bytes)
  return Tensor.of('uint8', dims, cropped)
}

/** Scales or zero points of all rows in the table's own shape. */
function reshaped(job: Job, value: Value, dims: readonly number[]): Value {
  const { tensor } = value
  return initializer(job, `${value.name}_of_rows`, () => tensor!.reshaped([...dims.slice(0, -1), tensor!.dims.at(-1)!]))
}

/** The codes of a product's weight, seen as a table. */
function tiedCodes(node: Node, job: Job<QuantizedBlocks>, dims: readonly number[], tools: Tools): Value {
  const { graph } = node
  const { bits, blockSize } = tools.options
  const { codes, blocks } = job.result!
  const key = `${graph.name}\u0000${job.root.name}`
  const known = tools.shared.get(key)
  if (known?.graph === graph) return known
  const data = initializer(job, `Q${bits}`, () => Tensor.of('uint8', [dims[0]!, blocks, (blockSize * bits) / 8], codes))
  const shape = initializer(job, `Q${bits}_shape`, () => Tensor.int64(dims))
  const value = graph
    .insert(
      { op: 'Reshape', name: `${data.name}_Reshape`, inputs: [data, shape], outputs: [`${data.name}_table`] },
      { before: node },
    )
    .output()
  tools.shared.set(key, value)
  return value
}

/** Codes as a tensor of 4-bit integers, for tables that are not gathered by rows, or have odd rows. */
function planInt4(place: Place, tools: Tools): Outcome {
  const { node, found, axis } = place
  const { root, tensor, dtype } = found
  const { bits, symmetric, algorithm } = tools.options
  if (bits !== 4) return left(`GatherBlockQuantized has no ${bits}-bit form of this table`)
  if (algorithm === 'hqq') return left('GatherBlockQuantized has no float zero points')
  const { dims } = tensor
  const quantizeAxis = axis === dims.length - 1 ? 0 : dims.length - 1
  const { outer, channels, inner } = channelLayout(dims, quantizeAxis)
  const job = tools.jobs.blocks(root, {
    layout: { outer, length: channels, inner },
    options: { ...blockOptions(tools, place.found), order: 'original', signed: symmetric },
  })
  if (typeof job === 'string') return left(job)
  return {
    job,
    emit() {
      const { codes, scales, zeroPoints, blocks } = job.result!
      const type = symmetric ? 'int4' : 'uint4'
      const perBlock = dims.map((dim, i) => (i === quantizeAxis ? blocks : dim))
      const inputs = [
        initializer(job, `table_Q4_${quantizeAxis}`, () => Tensor.of(type, dims, codes)),
        place.node.input(1)!,
        scaleInput(job, `table_scales_${quantizeAxis}`, { dtype, dims: perBlock, values: scales }, place.node, tools),
      ]
      if (zeroPoints)
        inputs.push(
          initializer(job, `table_zero_points_${quantizeAxis}`, () => Tensor.of('uint4', perBlock, zeroPoints)),
        )
      const { model } = node.graph
      model.irVersion = Math.max(model.irVersion, INT4_IR_VERSION)
      emit(place, inputs, { quantizeAxis, isBytes: false }, tools)
    },
  }
}

function emit(
  { node, table, axis }: Place,
  inputs: (Value | null)[],
  { quantizeAxis, isBytes }: { quantizeAxis: number; isBytes: boolean },
  { options: { bits, blockSize }, leftovers }: Tools,
): void {
  const { graph } = node
  graph.model.useDomain(CONTRIB)
  const fresh = graph.insert(
    {
      op: 'GatherBlockQuantized',
      domain: CONTRIB,
      name: `${nameOf(node)}_Q${bits}`,
      inputs,
      attributes: {
        gather_axis: int(axis),
        quantize_axis: int(quantizeAxis),
        block_size: int(blockSize),
        bits: isBytes ? int(bits) : undefined,
      },
      outputs: [`${node.output().name}_Q${bits}`],
      types: [node.output().type],
    },
    { before: node },
  )
  replaceNode(node, fresh.output())
  leftovers.add(table)
}
