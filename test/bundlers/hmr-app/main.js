import digits from './digits.onnx?quantize=static&calibration=./calib.jsonl&device=wasm'

let session = await digits()
let { url } = digits
let swaps = 0

globalThis.current = () => ({ url, swaps })
globalThis.state = async () => {
  const { logits } = await session.run({ image: [[Array.from({ length: 8 }, () => Array(8).fill(0.5))]] })
  return { url, swaps, finite: logits.data.every(Number.isFinite) }
}

import.meta.hot.accept('./digits.onnx?quantize=static&calibration=./calib.jsonl&device=wasm', async (fresh) => {
  const old = session
  session = await fresh.default()
  url = fresh.default.url
  await old.dispose()
  swaps++
})
