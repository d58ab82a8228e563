import digits from '../../../fixtures/digits-cnn.onnx'
import { image } from './image.js'

/** The label of the test image, and what the wrapper knows without a session. */
export async function predict() {
  const session = await digits()
  const { logits } = await session.run({ image })
  const scores = [...logits.data]
  await session.dispose()
  return { label: scores.indexOf(Math.max(...scores)), scores, target: session.target, url: String(digits.url) }
}

globalThis.predict = predict
