import { resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { generateModule } from '../../src/codegen/module.ts'
import { root, variantOf } from './support/emitted.ts'

/** A page's code, without ONNX Runtime. */
const bundle = (contents: string) =>
  build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    external: ['onnxruntime-web/*'],
  })

/** What an import of a model adds to a page besides ONNX Runtime and the model, gzipped. */
const BUDGET = 6000

test.each([
  [false, false],
  [true, false],
  [true, true],
])(
  'wrapper and emitted module stay in their budget and use nothing of Node (images: %s, classes: %s)',
  async (images, classes) => {
    const variant = await variantOf(resolve(root, 'fixtures/digits-cnn.onnx'), 'wasm', '"/m.onnx"')
    if (images) variant.info.inputs[0]!.media = { kind: 'image' }
    if (classes) variant.info.result = { kind: 'classes', outputs: { classes: 'classes', scores: 'scores' } }
    const gpu = { ...variant, target: 'gpu', device: 'webgpu', requires: { 'shader-f16': 1 } }
    const importRuntime = resolve(root, 'src/runtime/web.ts')
    const contents = generateModule({ as: 'session', runtime: 'web', variants: [gpu, variant], importRuntime })
    const { outputFiles, metafile } = await bundle(contents)
    const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path))
    expect(imports.sort()).toEqual(['onnxruntime-web/wasm', 'onnxruntime-web/webgpu'])
    // Code for images comes with models that take them, and with no other.
    expect(outputFiles[0]!.text.includes('OffscreenCanvas')).toBe(images)
    expect(outputFiles[0]!.text.includes('predict')).toBe(classes)
    // float16 comes with models that have it, too.
    const parts = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs))
    expect(parts.some((path) => path.endsWith('runtime/float16.ts'))).toBe(false)
    expect(gzipSync(outputFiles[0]!.contents, { level: 9 }).length).toBeLessThan(BUDGET)
  },
)

test.each(['inputs', 'external'] as const)(
  'with adapters too (%s), whose code only such models bring',
  async (kind) => {
    const variant = await variantOf(resolve(root, 'fixtures/digits-cnn.onnx'), 'wasm', '"/m.onnx"')
    const adapters = ['sql', 'chat'].map((name) => ({
      name,
      bytes: 1000,
      urlExpression: `"/${name}"`,
      tensors: [{ offset: 1, dims: [2, 3] }],
      ...(kind === 'external' ? { location: 'm-sql.npz' } : {}),
    }))
    const importRuntime = resolve(root, 'src/runtime/web.ts')
    const partsOf = async (variants: (typeof variant)[]) => {
      const contents = generateModule({ as: 'session', runtime: 'web', variants, importRuntime })
      const { outputFiles, metafile } = await bundle(contents)
      const parts = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs))
      const names = parts.flatMap(([path, { bytesInOutput }]) => (bytesInOutput ? path.replace(/.*runtime\//, '') : []))
      return { names, size: gzipSync(outputFiles[0]!.contents, { level: 9 }).length }
    }
    const { names, size } = await partsOf([
      { ...variant, target: 'gpu', device: 'webgpu', adapters },
      { ...variant, adapters },
    ])
    expect(size).toBeLessThan(BUDGET)
    expect(names.includes('external-adapters.ts')).toBe(kind === 'external')
    const plain = await partsOf([variant])
    expect(plain.names.filter((name) => name.includes('adapters'))).toEqual([])
  },
)

test('`as=url` and `as=info` bring no wrapper at all', async () => {
  const variant = await variantOf(resolve(root, 'fixtures/digits-cnn.onnx'), 'wasm', '"/m.onnx"')
  for (const as of ['url', 'info'] as const)
    expect(generateModule({ as, runtime: 'web', variants: [variant] })).not.toContain('import')
})
