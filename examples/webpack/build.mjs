import onnx from 'unplugin-onnx/webpack'
import webpack from 'webpack'

const compiler = webpack({
  context: import.meta.dirname,
  mode: 'production',
  target: 'node20',
  entry: './main.js',
  experiments: { outputModule: true },
  output: { path: `${import.meta.dirname}/dist`, module: true, clean: true },
  plugins: [onnx({ dts: '../onnx-models.d.ts' })],
})

compiler.run((error, stats) => {
  if (error) throw error
  console.log(stats?.toString({ preset: 'summary' }))
  process.exitCode = stats?.hasErrors() ? 1 : 0
  compiler.close(() => {})
})
