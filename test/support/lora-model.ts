import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { encodeAdapter } from '../../src/onnx/adapters/index.ts'
import { buildModel, bytesOf } from './models.ts'

const ones = (...dims: number[]) => Tensor.float32(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(1))

/**
 * Writes `lora.onnx` (x [n, 8] -> y [n, 6], all weights one, rank 1, scale 0.5) and `other.safetensors` (rank 2) to a
 * folder. For x of ones every y is 8; 12 with the adapter inside, 24 with the other one.
 */
export function writeLoraModel(folder: string): string {
  const model = buildModel(17, (graph, input) => {
    const x = input('x', ['n', 8])
    const product = (name: string, wish: string, from: typeof x, ...dims: number[]) =>
      graph.insert({ op: 'MatMul', name, inputs: [from, graph.addInitializer(wish, ones(...dims))] }).output()
    const base = product('/proj/base_layer/MatMul', 'w', x, 8, 6)
    const a = product('/proj/default/MatMul', 'a', x, 8, 1)
    const b = product('/proj/default_1/MatMul', 'b', a, 1, 6)
    const scale = graph.addInitializer('scale', Tensor.float32([], [0.5]))
    const scaled = graph.insert({ op: 'Mul', inputs: [b, scale] }).output()
    const types = [tensorType('float32', ['n', 6])]
    return [graph.insert({ op: 'Add', inputs: [base, scaled], outputs: ['y'], types }).output()]
  })
  const file = join(folder, 'lora.onnx')
  writeFileSync(file, bytesOf(model))
  const weights = { 'proj.lora_A.weight': ones(8, 2), 'proj.lora_B.weight': ones(2, 6) }
  const { bytes } = encodeAdapter(
    'safetensors',
    Object.entries(weights).map(([name, tensor]) => ({
      name,
      dtype: 'float32',
      dims: tensor.dims,
      data: tensor.bytes(),
    })),
  )
  writeFileSync(join(folder, 'other.safetensors'), bytes)
  return file
}
