import attribute from '../../../fixtures/digits-cnn.onnx' with { as: 'info' }
import again from '../../../fixtures/digits-cnn.onnx' with { as: 'url' }
import cpu from '../../../fixtures/digits-cnn.onnx?as=url&target=node'
import web from '../../../fixtures/digits-cnn.onnx?as=url&target=web'

export const found = import.meta.glob('../../../fixtures/*.onnx', { query: '?as=url', import: 'default' })
export { again, attribute, cpu, web }
