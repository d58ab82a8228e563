import { int, ints } from '../../graph/attributes.ts'
import type { Model } from '../../graph/model.ts'
import { elementsIn, Tensor } from '../../graph/tensor.ts'
import { tensorType } from '../../graph/types.ts'
import { DTYPES } from '../../onnx/dtypes.ts'
import { RANK, type Slot } from './files.ts'

/** An input that holds the weights of several layers, one behind another along the axis that is not the rank. */
interface Pack {
  name: string
  members: readonly Slot[]
  axis: 0 | 1
}

/** How the weights of a model's adapters lie in its inputs. */
export interface Packing {
  inputs: readonly string[]
  /** The weights of an adapter, by slot, as weights by input. */
  pack(tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor>
}

/**
 * Makes one input of all adapter weights of one kind and shape, which a Split at the begin of the graph takes apart:
 * `[count * inner, rank]` for A, `[rank, count * outer]` for B, `[count * outer]` for the
 * vectors of DoRA, and so on for LoHa. Weights that are alone in their shape stay as they are.
 * As all layers share the dim of the rank, an adapter's lower ranks are filled up with zeros, which change nothing.
 */
export function packInputs(model: Model, slots: readonly Slot[]): Packing {
  const groups = new Map<string, Slot[]>()
  for (const slot of slots) {
    const { like, kind, rankAxis } = slot
    const isWhole = rankAxis === undefined && like.dims.length > 1
    const key = isWhole ? slot.name : `${like.dtype} ${kind} ${like.dims[rankAxis === 0 ? 1 : 0]}`
    groups.set(key, [...(groups.get(key) ?? []), slot])
  }
  const packs = new Map<string, Pack>()
  const inputs: string[] = []
  for (const members of groups.values()) {
    if (members.length === 1) inputs.push(members[0]!.name)
    else {
      const pack = packGroup(model, members)
      packs.set(pack.name, pack)
      inputs.push(pack.name)
    }
  }
  const pack = (tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> => {
    const ranks = slots.map(({ name, rankAxis }) => (rankAxis === undefined ? 1 : tensors.get(name)!.dims[rankAxis]!))
    const rank = Math.max(...ranks)
    const wide = new Map(slots.map(({ name, rankAxis }) => [name, fillUp(tensors.get(name)!, rankAxis, rank)]))
    return new Map(inputs.map((name) => [name, join(packs.get(name), wide) ?? wide.get(name)!]))
  }
  const defaults = pack(new Map(slots.map(({ name, like }) => [name, like])))
  for (const value of model.graph.inputs) {
    const tensor = defaults.get(value.name)
    if (tensor) model.graph.setInitializer(value, tensor)
  }
  return { inputs, pack }
}

function packGroup(model: Model, members: readonly Slot[]): Pack {
  const { graph } = model
  const [{ kind, like, rankAxis }] = members as [Slot]
  const axis = rankAxis === 0 ? 1 : 0
  const size = like.dims[axis]!
  const dimsOf = (length: number) => like.dims.map((_, at) => (at === axis ? length : RANK))
  const type = tensorType(like.dtype, dimsOf(size * members.length))
  const input = graph.addInput(model.names.fresh(`${kind}.packed_${size}`), type)
  const lengths = members.map(() => size)
  const isAttribute = (model.opsets.get('') ?? 1) < 13
  const constant = () => graph.addInitializer(`${input.name}.sizes`, Tensor.from('int64', [lengths.length], lengths))
  const node = graph.insert(
    {
      op: 'Split',
      inputs: isAttribute ? [input] : [input, constant()],
      attributes: { axis: int(axis), ...(isAttribute ? { split: ints(lengths) } : {}) },
      outputs: members.length,
      types: members.map(() => tensorType(like.dtype, dimsOf(size))),
    },
    { before: [...graph.nodes()][0]! },
  )
  const inputs = new Map(graph.inputs.map((value) => [value.name, value]))
  members.forEach(({ name }, at) => {
    const old = inputs.get(name)!
    graph.replace(old, node.outputs[at]!)
    graph.removeInitializer(old)
    graph.removeInput(old)
  })
  return { name: input.name, members, axis }
}

/** A matrix whose `axis` has `size` entries: zeros come behind those that there are. */
export function fillUp(tensor: Tensor, axis: number | undefined, size: number): Tensor {
  if (axis === undefined || tensor.dims[axis] === size) return tensor
  const dims = tensor.dims.map((dim, at) => (at === axis ? size : dim))
  return concatenate([tensor], axis, dims)
}

function join(pack: Pack | undefined, tensors: ReadonlyMap<string, Tensor>): Tensor | undefined {
  if (!pack) return undefined
  const parts = pack.members.map(({ name }) => tensors.get(name)!)
  const sum = parts.reduce((total, { dims }) => total + dims[pack.axis]!, 0)
  return concatenate(
    parts,
    pack.axis,
    parts[0]!.dims.map((dim, at) => (at === pack.axis ? sum : dim)),
  )
}

/** Writes matrices one behind another along `axis` into one of `dims`; what is left over is zero. */
function concatenate(parts: readonly Tensor[], axis: number, dims: readonly number[]): Tensor {
  const dtype = parts[0]!.dtype!
  const width = DTYPES[dtype].bits / 8
  const bytes = new Uint8Array(elementsIn(dims) * width)
  const rowBytes = (dims[1] ?? 1) * width
  let start = 0
  for (const part of parts) {
    const data = part.bytes()
    const [rows, columns = 1] = part.dims as [number, number?]
    for (let row = 0; row < rows; row++) {
      const from = data.subarray(row * columns * width, (row + 1) * columns * width)
      bytes.set(from, axis === 0 ? (start + row) * rowBytes : row * rowBytes + start * width)
    }
    start += part.dims[axis]!
  }
  return Tensor.of(dtype, dims, bytes)
}
