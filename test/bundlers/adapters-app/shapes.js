import * as ort from 'onnxruntime-node'
import path from './lora.onnx?adapters=external&as=path'
import sized from './lora.onnx?adapters=external&dim=n:2;4&adapter_files=other:other.safetensors'

const rows = (count) => new Float32Array(8 * count).fill(1)

/** The model as a file that ONNX Runtime opens by itself; then fixed sizes of it, with adapters. */
export async function answers() {
  const raw = await ort.InferenceSession.create(path)
  const { y } = await raw.run({ x: new ort.Tensor('float32', rows(1), [1, 8]) })
  await raw.release()
  const session = await sized({ adapter: 'other' })
  const base = await session.withAdapter(undefined)
  const results = [await session.run({ x: rows(2) }), await session.run({ x: rows(4) }), await base.run({ x: rows(3) })]
  await session.dispose()
  return [y.data[0], session.adapter, ...results.map(({ y }) => [y.data[0], ...y.dims])]
}
