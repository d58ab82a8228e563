import digits from '../../../fixtures/digits-cnn.onnx?optimise=clean'

export { digits }
