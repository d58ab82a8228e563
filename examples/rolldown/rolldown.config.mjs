import { defineConfig } from 'rolldown'
import onnx from 'unplugin-onnx/rolldown'

export default defineConfig({
  input: `${import.meta.dirname}/main.js`,
  platform: 'node',
  output: { dir: `${import.meta.dirname}/dist` },
  plugins: [onnx({ root: import.meta.dirname, dts: '../onnx-models.d.ts' })],
})
