import { build } from 'esbuild'
import onnx from 'unplugin-onnx/esbuild'

await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: ['main.js'],
  bundle: true,
  platform: 'node',
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  outdir: 'dist',
  logLevel: 'info',
  plugins: [onnx({ dts: '../onnx-models.d.ts' })],
})
