import { defineConfig } from 'rollup'
import onnx from 'unplugin-onnx/rollup'

export default defineConfig({
  input: `${import.meta.dirname}/main.js`,
  output: { dir: `${import.meta.dirname}/dist`, format: 'esm' },
  // Rollup does not know what its output runs on.
  plugins: [onnx({ target: 'node', root: import.meta.dirname, dts: '../onnx-models.d.ts' })],
})
