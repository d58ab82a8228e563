import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { FileBytes } from '../../../../src/onnx/bytes.ts'
import { isSameTensor, sampleOf } from '../../../../src/passes/clean/fingerprint.ts'
import { packedWeights } from '../../../../src/rules/attention/projection/packed-weights.ts'
import { noise } from '../../../support/rules.ts'
import { temporaryFolder } from '../../../support/temporary.ts'

const [ROWS, WIDTH] = [96, 120]

/** Weights by name, in memory and as parts of a file. */
function weights(names: readonly string[]) {
  const file = join(temporaryFolder(), 'weights')
  const inMemory = names.map((_, i) => Tensor.float32([ROWS, WIDTH], noise(ROWS * WIDTH, i + 1)))
  writeFileSync(file, Buffer.concat([Buffer.alloc(12), ...inMemory.map((tensor) => tensor.bytes())]))
  const length = ROWS * WIDTH * 4
  const inFile = names.map((_, i) => Tensor.of('float32', [ROWS, WIDTH], new FileBytes(file, 12 + i * length, length)))
  return { inMemory, inFile }
}

/** Columns out of order, with a gap: 60 to 119, then 0 to 39. */
const columns = Array.from({ length: 100 }, (_, i) => (i + 60) % WIDTH).filter((column) => column < 40 || column >= 60)
const packed = (tensors: readonly Tensor[]) =>
  packedWeights(tensors.map((weight) => ({ weight, bias: undefined, columns })))

describe('weights side by side', () => {
  test('have the columns that were asked for, one part after the other', () => {
    const { inMemory } = weights(['q', 'k', 'v'])
    const result = packed(inMemory)
    const total = 3 * columns.length
    expect(result.dims).toEqual([ROWS, total])
    const expected = Array.from({ length: ROWS }, (_, row) =>
      inMemory.flatMap((tensor) => columns.map((column) => tensor.float32()[row * WIDTH + column])),
    ).flat()
    expect([...result.float32()]).toEqual(expected)
  })

  test('stay in their file until they are read, as a whole or piece by piece', () => {
    const { inMemory, inFile } = weights(['q', 'k', 'v'])
    const [expected, result] = [packed(inMemory), packed(inFile)]
    expect(result.source).not.toBeInstanceOf(Uint8Array)
    expect(Buffer.compare(result.bytes(), expected.bytes())).toBe(0)
    const { fill, length } = result.source as { fill: (target: Uint8Array, offset: number) => void; length: number }
    for (const size of [64, 320, 4096, 65_536]) {
      const pieces = Array.from({ length: Math.ceil(length / size) }, (_, i) => {
        const piece = new Uint8Array(Math.min(size, length - i * size))
        fill(piece, i * size)
        return piece
      })
      expect(Buffer.compare(Buffer.concat(pieces), expected.bytes())).toBe(0)
    }
  })

  test('are told apart by samples without being read as a whole', () => {
    const { inFile } = weights(['q', 'k', 'v'])
    const [q, k, v] = inFile as [Tensor, Tensor, Tensor]
    expect(sampleOf(packed([q, k]))).not.toBe(sampleOf(packed([k, q])))
    expect(sampleOf(packed([q, v]))).toBe(sampleOf(packed([q, v])))
    expect(isSameTensor(packed([q, v]), packed([q, v]))).toBe(true)
  })
})
