import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Artifact } from '../../src/pipeline/index.ts'
import { findWebRuntime } from '../../src/plugin/onnxruntime-web.ts'
import { firstLoadOf } from '../../src/plugin/report.ts'

const artifact = { model: { bytes: 1000 }, external: [{ bytes: 20 }], adapters: [{ bytes: 5 }] } as unknown as Artifact

test.each([
  ['wasm', 'onnxruntime-web/wasm'],
  ['webgpu', 'onnxruntime-web/webgpu'],
])('the first load on %s is the model and what it needs of ONNX Runtime', (device, entry) => {
  const runtime = findWebRuntime(entry, import.meta.dirname)
  const bytes = [runtime.entry, runtime.mjs.file, runtime.wasm.file].map((file) => statSync(file).size)
  expect(firstLoadOf(device, artifact, import.meta.dirname)).toBe(1020 + bytes.reduce((sum, size) => sum + size, 0))
})

test('servers load nothing', () => expect(firstLoadOf('cpu', artifact, import.meta.dirname)).toBeUndefined())

test('an import that gives no session needs the model alone, or nothing', () => {
  for (const as of ['url', 'bytes'] as const) expect(firstLoadOf('wasm', artifact, import.meta.dirname, as)).toBe(1020)
  expect(firstLoadOf('wasm', artifact, import.meta.dirname, 'info')).toBeUndefined()
})
