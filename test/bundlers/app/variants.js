// The same model in several ways. Some bundlers know attributes only in part, and merge imports that differ in them.
import attribute from '../../../fixtures/digits-cnn.onnx' with { as: 'info', type: 'onnx' }
import other from '../../../fixtures/digits-cnn.onnx' with { as: 'url' }
import plain from '../../../fixtures/digits-cnn.onnx?as=url'
import small from '../../../fixtures/digits-cnn.onnx?as=url&quantize=dynamic'

const found = import.meta.glob('../../../fixtures/*.onnx', { query: '?as=url&quantize=dynamic', import: 'default' })

export const globbed = async () =>
  Object.fromEntries(await Promise.all(Object.entries(found).map(async ([path, get]) => [path, await get()])))
export { attribute, other, plain, small }
