import digits from '../../fixtures/digits-cnn.onnx?quantize=dynamic'
import { batch, labels } from '../digits.js'

async function main() {
  const session = await digits()
  const { logits } = await session.run({ image: batch() })
  console.log(`${digits.outputs[0]?.name} of ten digits: ${labels(logits.data).join(' ')}`)
  await session.dispose()
}

main()
