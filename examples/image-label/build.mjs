import { build } from 'esbuild'
import onnx from 'unplugin-onnx/esbuild'

await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: ['main.js'],
  bundle: true,
  platform: 'node',
  format: 'esm',
  external: ['sharp'],
  outdir: 'dist',
  logLevel: 'warning',
  plugins: [onnx({ dts: '../onnx-models.d.ts' })],
})
