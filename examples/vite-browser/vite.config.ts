import onnx from 'unplugin-onnx/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  plugins: [onnx({ dts: '../onnx-models.d.ts' })],
})
