import { convertFloats } from '../../graph/float-data.ts'
import { elementsIn, Tensor } from '../../graph/tensor.ts'
import { readAdapter } from '../../onnx/adapters/index.ts'
import { isFloat } from '../../onnx/dtypes.ts'
import { OnnxError } from '../../onnx/errors.ts'

/** Name of the dimension that is the rank of an adapter. */
export const RANK = 'lora_r'

/** One weight that an adapter has for the model: its name, and the tensor of the adapter that is in it. */
export interface Slot {
  name: string
  like: Tensor
  /** The axis whose size is the rank: it may differ. */
  rankAxis: number
}

/** The slots of one layer. */
export interface Layer {
  name: string
  a: Slot
  b: Slot
}

/**
 * Reads an adapter file for a model. Names match in full or by their end after a dot: exporters put different things
 * before them. Layers that the file does not have get zeros, which change nothing.
 *
 * @throws OnnxError `ADAPTER_MISMATCH` for weights that are not for this model
 */
export function readAdapterFor(layers: readonly Layer[], file: string): Map<string, Tensor> {
  const place = { file }
  const given = readAdapter(file)
  const slots = layers.flatMap(({ a, b }) => [a, b])
  const found = new Map<string, Tensor>()
  for (const { name, dtype, dims, data } of given) {
    const exact = slots.filter((slot) => slot.name === name)
    const matches = exact.length ? exact : slots.filter((slot) => endsAlike(slot.name, name))
    const [slot] = matches
    if (!slot || matches.length > 1 || found.has(slot.name))
      throw new OnnxError(
        'ADAPTER_MISMATCH',
        `the adapter's weight "${name}" ${slot ? 'fits several layers' : 'has no layer in the model'}`,
        {
          place,
          hint: `The model's adapter has ${slots
            .slice(0, 2)
            .map((one) => one.name)
            .join(', ')}, ...`,
        },
      )
    const fits = dims.length === 2 && dims.every((dim, axis) => axis === slot.rankAxis || dim === slot.like.dims[axis])
    if (!fits || !isFloat(dtype)) {
      const expected = slot.like.dims.map((dim, axis) => (axis === slot.rankAxis ? 'r' : dim))
      throw new OnnxError(
        'ADAPTER_MISMATCH',
        `the adapter's weight "${name}" is ${dtype} [${dims}], not float [${expected}]`,
        {
          place,
          hint: 'Is it for another base model? Folders of PEFT are converted by `unplugin-onnx adapters export`.',
        },
      )
    }
    found.set(slot.name, convertFloats(Tensor.of(dtype, dims, data), slot.like.dtype!))
  }
  for (const { name, a, b } of layers) {
    const [first, second] = [found.get(a.name), found.get(b.name)]
    if (first && second && first.dims[1] === second.dims[0]) continue
    if (first || second)
      throw new OnnxError(
        'ADAPTER_MISMATCH',
        `the adapter's weights of "${name}" are of different ranks, or one is missing`,
        {
          place,
        },
      )
    for (const slot of [a, b]) found.set(slot.name, zeros(slot))
  }
  return found
}

function endsAlike(a: string, b: string): boolean {
  return a.endsWith(`.${b}`) || b.endsWith(`.${a}`)
}

function zeros({ like, rankAxis }: Slot): Tensor {
  const dims = like.dims.map((dim, axis) => (axis === rankAxis ? 1 : dim))
  return Tensor.of(like.dtype!, dims, new Uint8Array((like.byteLength / like.elementCount) * elementsIn(dims)))
}
