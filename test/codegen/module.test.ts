import { transformSync } from 'esbuild'
import { expect, test } from 'vitest'
import { ortEntry, runtimeOf } from '../../src/codegen/entries.ts'
import { generateModule, type VariantInput } from '../../src/codegen/module.ts'
import type { ModelInfo } from '../../src/pipeline/types.ts'

const info: ModelInfo = {
  inputs: [{ name: 'it\'s "x"', dtype: 'float32', type: 'tensor(float32)', shape: ['batch', 2] }],
  outputs: [{ name: 'y', dtype: 'float32', type: 'tensor(float32)' }],
  opsets: { '': 21 },
  irVersion: 10,
  producer: 'test',
  metadata: {},
  ops: { Add: 1 },
}
const web: VariantInput = {
  target: 'web',
  device: 'wasm',
  info,
  bytes: 10,
  urlExpression: 'new URL("./m.onnx", import.meta.url).href',
  external: [{ name: 'm.onnx_data', bytes: 5, urlExpression: '"/m.onnx_data"' }],
  sessionOptions: { enableMemPattern: false },
  wasm: { mjs: '"/ort.mjs"', wasm: '"/ort.wasm"' },
}
const gpu: VariantInput = {
  target: 'gpu',
  device: 'webgpu',
  info: { ...info, ops: { Add: 2 } },
  bytes: 6,
  urlExpression: '"/gpu.onnx"',
  external: [],
  requires: { 'shader-f16': 1 },
}

test('a session module with two variants', () => {
  const code = generateModule({ as: 'session', runtime: 'web', variants: [gpu, web, { ...gpu, target: 'again' }] })
  transformSync(code, { format: 'esm', logLevel: 'silent' })
  expect(code).toMatchInlineSnapshot(`
    "import { defineModel } from "unplugin-onnx/runtime/web"
    const info0 = { inputs: [{ name: "it's \\"x\\"", dtype: "float32", type: "tensor(float32)", shape: ["batch", 2] }], outputs: [{ name: "y", dtype: "float32", type: "tensor(float32)" }], opsets: { "": 21 }, irVersion: 10, producer: "test", metadata: {}, ops: { Add: 2 } }
    const info1 = { inputs: [{ name: "it's \\"x\\"", dtype: "float32", type: "tensor(float32)", shape: ["batch", 2] }], outputs: [{ name: "y", dtype: "float32", type: "tensor(float32)" }], opsets: { "": 21 }, irVersion: 10, producer: "test", metadata: {}, ops: { Add: 1 } }
    export default /* @__PURE__ */ defineModel([{
      target: "gpu",
      device: "webgpu",
      info: info0,
      bytes: 6,
      url: "/gpu.onnx",
      ort: () => import("onnxruntime-web/webgpu"),
      requires: { "shader-f16": 1 },
    }, {
      target: "web",
      device: "wasm",
      info: info1,
      bytes: 10,
      url: new URL("./m.onnx", import.meta.url).href,
      ort: () => import("onnxruntime-web/wasm"),
      external: [{ path: "m.onnx_data", bytes: 5, url: "/m.onnx_data" }],
      wasm: { mjs: "/ort.mjs", wasm: "/ort.wasm" },
      sessionOptions: { enableMemPattern: false },
    }, {
      target: "again",
      device: "webgpu",
      info: info0,
      bytes: 6,
      url: "/gpu.onnx",
      ort: () => import("onnxruntime-web/webgpu"),
      requires: { "shader-f16": 1 },
    }])
    "
  `)
})

test('a model with steps imports what reads its inputs, and nothing else', () => {
  const variant = (kinds: readonly string[]) => ({
    ...web,
    tokenizer: { name: 'm.tokenizer', bytes: 7, urlExpression: '"/m.tokenizer"' },
    info: {
      ...web.info,
      inputs: kinds.map((kind) => ({ name: kind, dtype: 'uint8', type: '', media: { kind } }) as never),
    },
  })
  const lines = (...kinds: string[]) => {
    const code = generateModule({ as: 'session', runtime: 'web', variants: [variant(kinds)] })
    return [code.split('\n')[0], /^(?: {2}media: (?!text)|const text0 = \/\* @__PURE__ \*\/ )(.*?),?$/m.exec(code)?.[1]]
  }
  const from = 'from "unplugin-onnx/runtime/web"'
  const text = 'readText(() => import(\'@huggingface/tokenizers\'), () => loadBytes(String("/m.tokenizer"), 7)'
  expect(lines('image')).toEqual([`import { defineModel, readImage, readMedia } ${from}`, 'readMedia(readImage)'])
  expect(lines('sound')).toEqual([`import { defineModel, readMedia, readSound } ${from}`, 'readMedia(readSound)'])
  expect(lines('text')).toEqual([`import { defineModel, loadBytes, readText } ${from}`, `${text})`])
  expect(lines('text', 'image')).toEqual([
    `import { defineModel, loadBytes, readText, readImage, readMedia } ${from}`,
    `${text}, readMedia(readImage))`,
  ])
  expect(lines()).toEqual([`import { defineModel } ${from}`, undefined])
})

test('float16 is read and written where an input or output is', () => {
  const half = { name: 'h', dtype: 'float16' as const, type: 'tensor(float16)' }
  const code = generateModule({
    as: 'session',
    runtime: 'web',
    variants: [{ ...web, info: { ...info, outputs: [half] } }, web],
  })
  expect(code.split('\n')[0]).toBe('import { defineModel, half } from "unplugin-onnx/runtime/web"')
  expect(code.match(/^ {2}half,$/gm)).toHaveLength(1)
})

test('a model whose outputs mean something reads them', () => {
  const ending = (kind: 'classes' | 'detections' | 'answer' | 'image') => {
    const inputs = kind === 'answer' ? [{ name: 'ids', type: '', media: { kind: 'text' } } as const] : []
    const tokenizer = { name: 'm.tokenizer', bytes: 7, urlExpression: '"/m.tokenizer"' }
    const given = { ...web, tokenizer, info: { ...web.info, inputs, result: { kind, outputs: {} } } }
    return generateModule({ as: 'session', runtime: 'web', variants: [given] })
      .split('\n')
      .at(-2)
  }
  expect(['classes', 'detections', 'answer', 'image'].map((kind) => ending(kind as 'image'))).toEqual(
    ['readClasses', 'readDetections', 'readAnswer(text0)', 'readPicture'].map((reader) => `}]), ${reader})`),
  )
})

test('the default exports of the other shapes', () => {
  const make = (as: 'url' | 'bytes' | 'path' | 'info', runtime: 'web' | 'node') =>
    generateModule({ as, runtime, variants: [gpu, web] })
  expect(make('url', 'web')).toBe('export default String("/gpu.onnx")\n')
  expect(make('bytes', 'web')).toBe(
    'import { loadBytes } from "unplugin-onnx/runtime/web"\nexport default () => loadBytes(String("/gpu.onnx"), 6)\n',
  )
  expect(make('path', 'node')).toBe(
    'import { toPath } from "unplugin-onnx/runtime/node"\nexport default toPath(String("/gpu.onnx"))\n',
  )
  expect(new Function(make('info', 'web').replace('export default', 'return'))()).toEqual(gpu.info)
})

test('what can not be is one clear error', () => {
  expect(() => generateModule({ as: 'path', runtime: 'web', variants: [web] })).toThrow(/AS_PATH_IN_BROWSER/)
  expect(() => generateModule({ as: 'session', runtime: 'web', variants: [] })).toThrow(/CODEGEN_NO_VARIANT/)
})

test('the narrowest entry per device', () => {
  expect(['wasm', 'webgpu', 'webnn'].map((device) => ortEntry(device, runtimeOf(device)))).toEqual([
    'onnxruntime-web/wasm',
    'onnxruntime-web/webgpu',
    'onnxruntime-web/webgpu',
  ])
  expect(['cpu', 'cuda', 'coreml'].map((device) => ortEntry(device, runtimeOf(device)))).toEqual(
    new Array(3).fill('onnxruntime-node'),
  )
  expect(ortEntry('webgpu', 'node')).toBe('onnxruntime-node')
})
