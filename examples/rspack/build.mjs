import { rspack } from '@rspack/core'
import onnx from 'unplugin-onnx/rspack'

const compiler = rspack({
  context: import.meta.dirname,
  mode: 'production',
  target: 'node20',
  entry: './main.js',
  output: { path: `${import.meta.dirname}/dist`, module: true, clean: true },
  plugins: [onnx({ dts: '../onnx-models.d.ts' })],
})

compiler.run((error, stats) => {
  if (error) throw error
  console.log(stats?.toString({ preset: 'summary' }))
  process.exitCode = stats?.hasErrors() ? 1 : 0
  compiler.close(() => {})
})
