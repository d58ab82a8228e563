import bytes from '../../../fixtures/digits-cnn.onnx?as=bytes'
import info from '../../../fixtures/digits-cnn.onnx?as=info'
import url from '../../../fixtures/digits-cnn.onnx?as=url'

export const viaNew = new URL('../../../fixtures/digits-cnn.onnx', import.meta.url).href
export const marker = () => 'marker of forms.js'
export { bytes, info, url }
