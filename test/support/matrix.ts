import { Tensor } from '../../src/graph/tensor.ts'

/** A float32 matrix of numbers from -1 to 1, the same for the same seed. */
export function matrix(rows: number, columns: number, seed: number): Tensor {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 1.7 + seed))
  return Tensor.float32([rows, columns], values)
}
