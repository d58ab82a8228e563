import { build } from '@farmfe/core'
import onnx from 'unplugin-onnx/farm'

await build({
  root: import.meta.dirname,
  clearScreen: false,
  compilation: {
    input: { main: './main.js' },
    output: { path: 'dist', targetEnv: 'node', format: 'esm', entryFilename: '[entryName].mjs' },
    persistentCache: false,
  },
  plugins: [onnx({ dts: '../onnx-models.d.ts' })],
})
