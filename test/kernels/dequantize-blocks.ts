import { codeReader, type QuantizedBlocks } from '../../src/kernels/index.ts'

/** The weight [K, N] that blocks in `blocks` order stand for, one element at a time. */
export function dequantizeBlocks(
  q: QuantizedBlocks,
  K: number,
  N: number,
  blockSize: number,
  bits: 2 | 4 | 8,
): Float32Array {
  const perByte = 8 / bits
  const mask = 2 ** bits - 1
  const code = (bytes: Uint8Array, i: number) => (bytes[Math.floor(i / perByte)]! >> ((i % perByte) * bits)) & mask
  const zeroRow = Math.ceil(q.blocks / perByte) * perByte
  return Float32Array.from({ length: K * N }, (_, at) => {
    const [k, n] = [Math.floor(at / N), at % N]
    const block = Math.floor(k / blockSize)
    const index = n * q.blocks + block
    const zero =
      q.floatZeroPoints?.[index] ?? (q.zeroPoints ? code(q.zeroPoints, n * zeroRow + block) : 2 ** (bits - 1))
    return (code(q.codes, index * blockSize + (k % blockSize)) - zero) * q.scales[index]!
  })
}

/** The 4-bit codes of a tensor in its own order. */
export function codes4(bytes: Uint8Array, length: number): number[] {
  const read = codeReader(bytes, 'uint4')
  return Array.from({ length }, (_, i) => read(i))
}
