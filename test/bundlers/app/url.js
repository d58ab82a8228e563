import info from './digits-cnn.onnx?as=info'
import url from './digits-cnn.onnx?as=url'

export const viaNew = new URL('./digits-cnn.onnx', import.meta.url).href
export { info, url }
