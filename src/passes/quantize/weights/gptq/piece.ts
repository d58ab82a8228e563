/** Rows `top`..`bottom` of a square matrix, of them columns `left`..`right`. */
export function piece(
  matrix: Float32Array,
  length: number,
  top: number,
  bottom: number,
  left: number,
  right: number,
): Float32Array {
  const result = new Float32Array((bottom - top) * (right - left))
  for (let k = top; k < bottom; k++)
    result.set(matrix.subarray(k * length + left, k * length + right), (k - top) * (right - left))
  return result
}
