import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { OnnxError } from '../../src/onnx/errors.ts'
import { mergeAttributes, rewriteSource } from '../../src/plugin/source/index.ts'

const rewrite = (code: string, id = '/app/main.ts') => rewriteSource(code, id, { isVite: false })?.code

describe('new URL', () => {
  test('takes the emitted asset', () => {
    expect(rewrite("const u: URL = new URL('./m.onnx?dtype=q8', import.meta.url)")).toBe(
      'const u: URL = new URL(__unplugin_onnx_url_0)\n' +
        ';import __unplugin_onnx_url_0 from "./m.onnx?dtype=q8&as=url";\n',
    )
    expect(rewriteSource("new URL('./m.onnx', import.meta.url)", '/a.js', { isVite: true })?.code).toMatch(
      /^new URL\(__unplugin_onnx_url_0, import\.meta\.url\)/,
    )
    expect(rewrite("f(new URL('./m.onnx', import.meta.url).href as string ? (a as B) : c)")).toContain(
      '(new URL(__unplugin',
    )
    expect(rewrite('new URL(`m.onnx`, import.meta.url)')).toContain('from "./m.onnx?as=url"')
  })
  test.each([
    "new URL('./m.wasm', import.meta.url)",
    "new URL('/m.onnx', import.meta.url)",
    "new URL('https://example.com/m.onnx', import.meta.url)",
    "new URL('./m.onnx', document.baseURI)",
    "// new URL('./m.onnx', import.meta.url)",
    'const text = "new URL(\'./m.onnx\', import.meta.url)"',
  ])('leaves %s alone', (code) => expect(rewrite(code)).toBeUndefined())
  test('a name known at run time only is an error with its place', () => {
    expect(() => rewrite('\nfoo(new URL(`./$' + '{name}.onnx`, import.meta.url))')).toThrow(
      /URL_NOT_STATIC.*\n.*imported by \/app\/main\.ts:2:5/,
    )
  })
})

describe('import attributes', () => {
  test('join the query', () => {
    expect(rewrite("import m from './m.onnx' with { type: 'onnx', quantize: 'dynamic' }\nm()")).toBe(
      'import m from "./m.onnx?quantize=dynamic"\nm()',
    )
    expect(rewrite('export { default } from "./m.onnx?per_channel" with {quantize:"dynamic"};')).toBe(
      'export { default } from "./m.onnx?per_channel&quantize=dynamic";',
    )
    expect(rewrite("await import('./m.onnx', { with: { dtype: 'q8' } })")).toBe('await import("./m.onnx?dtype=q8")')
    expect(rewrite("import('./m.onnx', { with: { dtype: 'q8' } }).then(f)")).toBe('import("./m.onnx?dtype=q8").then(f)')
  })
  test('leave keys that come several times', () => {
    const id = { file: './m.onnx', query: 'ops=Conv&ops=Gemm&per_channel&float16=' }
    expect(mergeAttributes(id, {}, '')).toEqual(id)
    expect(mergeAttributes(id, { type: 'onnx', quantize: 'dynamic', per_channel: '' }, '')).toEqual({
      file: './m.onnx',
      query: `${id.query}&quantize=dynamic`,
    })
  })
  test('of other files stay', () =>
    expect(rewrite("import a from './a.json' with { type: 'json' } // .onnx")).toBeUndefined())
  test('that contradict the query are an error', () => {
    expect(() => rewrite("import m from './m.onnx?dtype=q8' with { dtype: 'q4' }")).toThrow(OnnxError)
  })
})

describe('import.meta.glob', () => {
  const folder = mkdtempSync(join(tmpdir(), 'glob-'))
  for (const file of ['a.onnx', 'b.onnx', 'c.txt']) writeFileSync(join(folder, file), '')
  const id = join(folder, 'main.js')
  test('lazy', () => {
    expect(rewrite("const all = import.meta.glob('./*.onnx', { query: '?dtype=q8', import: 'default' })", id)).toBe(
      'const all = ({ "./a.onnx": () => import("./a.onnx?dtype=q8").then((m) => m["default"]), "./b.onnx": () => import("./b.onnx?dtype=q8").then((m) => m["default"]) })',
    )
  })
  test('eager', () => {
    expect(rewrite("import.meta.glob('./a.onnx', { eager: true })", id)).toBe(
      '({ "./a.onnx": __unplugin_onnx_glob_0 })\n;import * as __unplugin_onnx_glob_0 from "./a.onnx";\n',
    )
  })
  test('stays where the bundler knows it', () =>
    expect(rewriteSource("import.meta.glob('./*.onnx')", id, { isVite: true })).toBeUndefined())
})

test('the source map points back at the untouched text', () => {
  const { map } = rewriteSource("a()\nnew URL('./m.onnx', import.meta.url)\nb()", '/app/main.js', { isVite: false })!
  expect(map.sourcesContent).toEqual(["a()\nnew URL('./m.onnx', import.meta.url)\nb()"])
  expect(map.mappings.split(';').length).toBeGreaterThanOrEqual(3)
})
