import model from './lfs.onnx'

export { model }
