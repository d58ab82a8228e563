// What an application writes: one import per model and variant. The plugin does the rest at build time.
export { default as cnn } from '../../fixtures/digits-cnn.onnx'
export { default as cnnInt8 } from '../../fixtures/digits-cnn.onnx?quantize=dynamic'
export { default as vit } from '../../fixtures/digits-vit.onnx'
export { default as vitInt8 } from '../../fixtures/digits-vit.onnx?quantize=dynamic'
