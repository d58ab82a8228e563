import onnx from 'unplugin-onnx/vite'
import { defineConfig } from 'vite'

// One import, two builds of the model: the client environment takes the `web` target, the server environment `node`.
export default defineConfig({
  root: import.meta.dirname,
  builder: {},
  environments: {
    client: { build: { outDir: 'dist/client' } },
    ssr: { build: { outDir: 'dist/server', ssr: 'server.ts' } },
  },
  plugins: [onnx({ dts: '../onnx-models.d.ts' })],
})
