import { convertFloats } from '../../graph/float-data.ts'
import { elementsIn, Tensor } from '../../graph/tensor.ts'
import { readAdapter } from '../../onnx/adapters/index.ts'
import { isFloat } from '../../onnx/dtypes.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { OrtService } from '../../ort/service.ts'
import { composeDeltas } from './delta.ts'
import { shiftOfMagnitude } from './dora.ts'
import { peftFolder } from './index.ts'
import { endsAlike } from './names.ts'
import { readPeftFolder } from './peft.ts'
import { unpack } from './unpack.ts'

/** Name of the dimension that is the rank of an adapter. */
export const RANK = 'lora_r'

/** One weight that an adapter has for the model: its name, and the tensor of the adapter that is in it. */
export interface Slot {
  name: string
  /** What it is in its layer, as PEFT names it: `lora_A`. */
  kind: string
  like: Tensor
  /** The axis whose size is the rank: it may differ. Undefined for vectors. */
  rankAxis: number | undefined
  /** What it is in adapters that lack it: zeros unless said. */
  fill?: number
}

/** The slots of one layer. */
export interface Layer {
  name: string
  /** Weights that an adapter has together, of one rank. */
  factors: readonly Slot[]
  /** The vector of DoRA, less one. Adapters may lack it. */
  shift?: Slot
  /** The vector of DoRA itself, where it is a weight too. */
  multiplier?: Slot
  /** Scales that are no part of the factors. */
  constants: readonly Slot[]
  /** The frozen weight `[rows, columns]`, where it is needed. */
  weight?: Tensor
}

const FROM_PEFT = 'What PEFT saved is read as a folder, or converted by `unplugin-onnx adapters export`.'

/** End of the name of DoRA's vector. */
export const SHIFT = '.dora_M.weight'
/** How PEFT names the magnitude vector of DoRA. */
const MAGNITUDE = /\.lora_magnitude_vector(?:\.weight)?$/

/**
 * Reads an adapter file, or a folder that PEFT saved, for a model. Names match in full or by their end after a dot: exporters put different things
 * before them. Layers that the file does not have get zeros, which change nothing. Magnitude vectors as PEFT saves them become the
 * factors that the model takes. Packed weights are taken apart, and for layers whose adapter was folded multiplied.
 *
 * @throws OnnxError `ADAPTER_MISMATCH` for weights that are not for this model
 */
export async function readAdapterFor(
  layers: readonly Layer[],
  file: string,
  ort: OrtService,
): Promise<Map<string, Tensor>> {
  const place = { file }
  const slots = [...new Map(layers.flatMap(slotsOf).map((slot) => [slot.name, slot])).values()]
  const folder = peftFolder(file)
  const read = folder === undefined ? readAdapter(file) : readPeftFolder(folder, 'float32')
  const given = await composeDeltas(unpack(read, slots), layers, ort)
  const found = new Map<string, Tensor>()
  const magnitudes = new Set<string>()
  const some = slots.slice(0, 2).map(({ name }) => name)
  for (const { name: written, dtype, dims, data } of given) {
    const name = written.replace(MAGNITUDE, SHIFT)
    const isFromPeft = written.startsWith('base_model.model.')
    const exact = slots.filter((slot) => slot.name === name)
    const matches = exact.length ? exact : slots.filter((slot) => endsAlike(slot.name, name))
    const [slot] = matches
    if (!slot || matches.length > 1 || found.has(slot.name))
      throw new OnnxError(
        'ADAPTER_MISMATCH',
        `the adapter's weight "${written}" ${slot ? 'fits several layers' : 'has no layer in the model'}`,
        {
          place,
          hint: `The model's adapter has ${some.join(', ')}, ...${isFromPeft ? ` ${FROM_PEFT}` : ''}`,
        },
      )
    const fits =
      dims.length === slot.like.dims.length &&
      dims.every((dim, axis) => axis === slot.rankAxis || dim === slot.like.dims[axis])
    if (!fits || !isFloat(dtype)) {
      const expected = slot.like.dims.map((dim, axis) => (axis === slot.rankAxis ? 'r' : dim))
      throw new OnnxError(
        'ADAPTER_MISMATCH',
        `the adapter's weight "${written}" is ${dtype} [${dims}], not float [${expected}]`,
        {
          place,
          hint: `Is it for another base model? ${FROM_PEFT}`,
        },
      )
    }
    found.set(slot.name, convertFloats(Tensor.of(dtype, dims, data), slot.like.dtype!))
    if (name !== written) magnitudes.add(slot.name)
  }
  for (const { name, factors, shift, multiplier, constants, weight } of layers) {
    const present = factors.filter((slot) => found.has(slot.name))
    const ranks = new Set(present.map((slot) => found.get(slot.name)!.dims[slot.rankAxis!]))
    const isWhole = present.length === factors.length
    if (ranks.size > 1 || (!isWhole && (present.length || (shift && found.has(shift.name)))))
      throw new OnnxError(
        'ADAPTER_MISMATCH',
        `the adapter's weights of "${name}" are of different ranks, or one is missing`,
        { place },
      )
    if (shift && magnitudes.has(shift.name)) {
      if (!weight)
        throw new OnnxError(
          'ADAPTER_MISMATCH',
          `the frozen weights of "${name}", which its magnitudes need, can't be read`,
          {
            place,
          },
        )
      const [a, b] = factors.map((slot) => found.get(slot.name)!) as [Tensor, Tensor]
      found.set(shift.name, shiftOfMagnitude(found.get(shift.name)!, weight, a, b))
    }
    for (const slot of [...factors, ...(shift ? [shift] : []), ...constants])
      if (!found.has(slot.name)) found.set(slot.name, filled(slot))
    if (shift && multiplier && !found.has(multiplier.name)) {
      const values = found.get(shift.name)!.toNumbers()
      found.set(
        multiplier.name,
        Tensor.from(
          multiplier.like.dtype!,
          multiplier.like.dims,
          values.map((value) => value + 1),
        ),
      )
    }
  }
  return found
}

/** All slots of a layer. */
export function slotsOf({ factors, shift, multiplier, constants }: Layer): Slot[] {
  return [...factors, ...(shift ? [shift] : []), ...(multiplier ? [multiplier] : []), ...constants]
}

function filled({ like, rankAxis, fill = 0 }: Slot): Tensor {
  const dims = like.dims.map((dim, axis) => (axis === rankAxis ? 1 : dim))
  return Tensor.from(like.dtype!, dims, new Array<number>(elementsIn(dims)).fill(fill))
}
