import digits from '../../fixtures/digits-cnn.onnx?quantize=dynamic'
import { batch, labels } from '../digits.js'

/** Reads ten digits, wherever this runs. */
export async function predict(): Promise<string> {
  const session = await digits()
  const { logits } = await session.run({ image: batch() })
  await session.dispose()
  return `${session.target}: ${labels(logits.data).join(' ')}`
}
