import digits from '../../../fixtures/digits-cnn.onnx?targets=webgpu,wasm'
import { image } from './image.js'

globalThis.predict = async () => {
  const session = await digits()
  const { logits } = await session.run({ image })
  await session.dispose()
  return { label: logits.data.indexOf(Math.max(...logits.data)), target: session.target }
}
