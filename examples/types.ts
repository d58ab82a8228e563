// What the generated types know of a model: names, element types and ranks. Checked by `tsc --noEmit -p examples`.
import digits from '../fixtures/digits-cnn.onnx?quantize=dynamic'
import url from '../fixtures/digits-vit.onnx?as=url'

export async function typed(): Promise<number> {
  const session = await digits()
  const { logits } = await session.run({ image: new Float32Array(64) })

  // @ts-expect-error the input is called `image`
  await session.run({ pixels: new Float32Array(64) })
  // @ts-expect-error the input is float32
  await session.run({ image: new BigInt64Array(64) })
  // @ts-expect-error no such output
  logits.labels
  // @ts-expect-error the import gives a text
  url()

  const scores: Float32Array = logits.data
  return scores.length + url.length
}
