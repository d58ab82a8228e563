import add from './add.onnx'
import other from './other/add.onnx'

/** Both models compute y = x + w; their w lies in files of the same name. */
export async function sums() {
  const results = []
  for (const model of [add, other]) {
    const session = await model()
    const { y } = await session.run({ x: new Float32Array(512).fill(1) })
    results.push(y.data[0], y.data[511])
    await session.dispose()
  }
  return results
}

globalThis.sums = sums
