import info from '../../../fixtures/digits-cnn.onnx?quantize=dynamic&ops=Conv&ops=Gemm&as=info'

export { info }
