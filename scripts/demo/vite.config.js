import onnx from 'unplugin-onnx/vite'
import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  build: { ssr: 'models.js', outDir: 'dist', emptyOutDir: true },
  plugins: [onnx({ dts: false })],
})
