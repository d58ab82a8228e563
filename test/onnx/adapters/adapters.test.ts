import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ADAPTER_FORMATS, type AdapterTensor, encodeAdapter, readAdapter } from '../../../src/onnx/adapters/index.ts'
import { OnnxError } from '../../../src/onnx/errors.ts'
import { temporaryFolder } from '../../support/temporary.ts'

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)
const tensors: AdapterTensor[] = [
  { name: 'layer.0.lora_A.weight', dtype: 'float32', dims: [2, 3], data: floats(1, 2, 3, 4, 5, 6) },
  { name: 'ü', dtype: 'float16', dims: [3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) },
  { name: 'empty', dtype: 'float32', dims: [4, 0], data: new Uint8Array() },
  { name: 'scalar', dtype: 'uint8', dims: [], data: Uint8Array.of(9) },
]

describe.each(ADAPTER_FORMATS)('%s', (format) => {
  test('comes back as it was written, and the offsets tell where', () => {
    const { bytes, offsets } = encodeAdapter(format, tensors)
    tensors.forEach(({ data }, i) => {
      expect(bytes.subarray(offsets[i], offsets[i]! + data.length)).toEqual(data)
    })
    const file = join(temporaryFolder(), `a.${format}`)
    writeFileSync(file, bytes)
    const read = readAdapter(file).map((tensor) => ({ ...tensor, data: new Uint8Array(tensor.data) }))
    expect(read).toEqual(tensors)
    expect(encodeAdapter(format, tensors).bytes).toEqual(bytes)
  })

  test('is within 2 % of its weights (rank 8, hidden size 1024, 8 layers)', () => {
    const large = Array.from({ length: 16 }, (_, i) => ({
      name: `model.layers.${i >> 1}.self_attn.q_proj.lora_${i & 1 ? 'B' : 'A'}.weight`,
      dtype: 'float32' as const,
      dims: i & 1 ? [8, 1024] : [1024, 8],
      data: new Uint8Array(4 * 8 * 1024).fill(i),
    }))
    const sum = large.reduce((total, { data }) => total + data.length, 0)
    expect(encodeAdapter(format, large).bytes.length).toBeLessThan(sum * 1.02)
  })

  test('cut off at any place it is an error, never a crash or wrong data', () => {
    const { bytes } = encodeAdapter(format, tensors)
    const file = join(temporaryFolder(), `a.${format}`)
    for (let length = 0; length < bytes.length; length += 7) {
      writeFileSync(file, bytes.subarray(0, length))
      let read: AdapterTensor[] = []
      try {
        read = readAdapter(file)
      } catch (error) {
        expect(error).toBeInstanceOf(OnnxError)
        expect((error as OnnxError).code).toBe('ADAPTER_INVALID')
        continue
      }
      expect(read.map((tensor) => ({ ...tensor, data: new Uint8Array(tensor.data) }))).toEqual(tensors)
    }
  })
})

test('what a format can not hold, and files of unknown kinds', () => {
  const odd: AdapterTensor = { name: 'x', dtype: 'bfloat16', dims: [1], data: Uint8Array.of(1, 2) }
  expect(() => encodeAdapter('npz', [odd])).toThrow('NumPy does not have')
  expect(() => readAdapter('adapter.bin')).toThrow('ADAPTER_INVALID')
  expect(() => readAdapter('/nowhere/adapter.npz')).toThrow('ADAPTER_UNREADABLE')
})
