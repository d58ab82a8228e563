import digits from './digits.onnx'
import other from './other.onnx'
import * as predict from './predict.js'

const shown = {
  digits: { url: digits.url, swaps: 0 },
  other: { url: other.url, swaps: 0 },
  predict: { url: predict.url, swaps: 0 },
}
const swap = (name, url) => {
  shown[name] = { url, swaps: shown[name].swaps + 1 }
}
globalThis.state = () => shown

import.meta.hot.accept('./digits.onnx', (fresh) => swap('digits', fresh.default.url))
import.meta.hot.accept('./other.onnx', (fresh) => swap('other', fresh.default.url))
import.meta.hot.accept('./predict.js', (fresh) => swap('predict', fresh.url))
