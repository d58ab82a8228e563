import path from '../../../fixtures/digits-cnn.onnx?as=path'

export { path }
