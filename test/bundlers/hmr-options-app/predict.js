import model from './digits.onnx?dtype=q8'

export const { url } = model
