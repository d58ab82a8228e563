import { Tensor } from '../../../../graph/tensor.ts'
import { DTYPES, type DType } from '../../../../onnx/dtypes.ts'
import type { InputSpec } from './types.ts'

/** True if numbers of one type are read as the other without a change of meaning: any integer type for any other, any float for a float. */
export function isConvertible(from: DType | undefined, to: DType | undefined): boolean {
  if (!from || !to || from === to) return true
  const kinds = [DTYPES[from].kind, DTYPES[to].kind]
  return kinds[0] === kinds[1] || (kinds[0] === 'int' && (kinds[1] === 'float' || kinds[1] === 'bool'))
}

/** The tensor in the input's element type. */
export function convert(tensor: Tensor, dtype: DType | undefined): Tensor {
  if (!dtype || tensor.dtype === dtype) return tensor
  return Tensor.from(dtype, tensor.dims, tensor.toNumbers())
}

/** Why a tensor of this shape does not fit the input, or undefined if it does. */
export function misfit(dims: readonly number[], { shape }: InputSpec): string | undefined {
  if (!shape) return undefined
  if (dims.length !== shape.length)
    return `it has ${dims.length} dimension${dims.length === 1 ? '' : 's'} instead of ${shape.length}`
  const wrong = shape.findIndex((dim, i) => typeof dim === 'number' && dim !== dims[i])
  return wrong < 0 ? undefined : `dimension ${wrong} is ${dims[wrong]} instead of ${shape[wrong]}`
}
