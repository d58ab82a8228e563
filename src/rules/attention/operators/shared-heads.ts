import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Build, Failure, no } from '../../../rewrite/index.ts'

/** How many query heads share a head of keys and values, [B, N, S, h] and [B, K, T, h]. */
function sharingOf(query: Value, key: Value): number | Failure {
  const [heads, own] = [query.shape?.[1], key.shape?.[1]]
  if (typeof heads !== 'number' || typeof own !== 'number' || heads % own)
    return no(`has ${own} heads for ${heads}`, key)
  return heads / own
}

/** Keys or values [B, K, T, h] for every query head, [B, N, T, h], for operators that know no sharing. */
export function spread(build: Build & { opset: number }, query: Value, value: Value): Value {
  const times = sharingOf(query, value)
  if (times instanceof Failure) throw times
  if (times === 1) return value
  const { op, opset } = build
  const [batch, own, length, size] = value.shape!
  const heads = (own as number) * times
  const type = tensorType(value.dtype, [batch!, heads, length!, size!])
  if (own === 1) {
    const wide = op.Expand(value, [1, heads, 1, 1])
    wide.type = type
    return wide
  }
  const open = opset < 13 ? op.Unsqueeze(value, { axes: [2] }) : op.Unsqueeze(value, [2])
  const wide = op.Expand(open, [1, 1, times, 1, 1])
  wide.type = tensorType(value.dtype, [batch!, own!, times, length!, size!])
  const result = op.Reshape(wide, [0, heads, -1, size as number])
  result.type = type
  return result
}
