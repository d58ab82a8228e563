import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mergeBlocks, withoutGone, withoutUnused } from '../../src/plugin/types-file.ts'
import { temporaryFolder } from '../support/temporary.ts'

const block = (pattern: string, body: string) => `declare module '${pattern}' {\n  ${body}\n}\n`
const file = (...blocks: string[]) => `// header\n\n${blocks.join('\n')}`
const generic = block('*.onnx', 'const model: Model')

test('declarations of other builds stay, those of this build are replaced, generic ones come last', () => {
  const old = file(block('*/a.onnx', 'old a'), block('*/x/b.onnx', 'b'), block('*.onnx', 'old generic'))
  const merged = file(block('*/x/b.onnx', 'b'), block('*/a.onnx', 'new a'), block('*/c.onnx', 'c'), generic)
  expect(mergeBlocks(old, file(block('*/a.onnx', 'new a'), block('*/c.onnx', 'c'), generic))).toBe(merged)
  expect(mergeBlocks(merged, merged)).toBe(merged)
  expect(mergeBlocks('', merged)).toBe(merged)
})

test('declarations of models that are gone are dropped', async () => {
  const root = temporaryFolder()
  mkdirSync(join(root, 'x'))
  for (const name of ['x/b.onnx', 'a [1].onnx']) writeFileSync(join(root, name), '')
  const kept = [block('*/x/b.onnx', 'b'), block('*/a [1].onnx?dtype=q8', 'a'), generic]
  const old = file(...kept, block('*/gone.onnx', 'gone'), block('*/y/b.onnx', 'elsewhere'))
  expect((await withoutGone(old, root)).trim()).toBe(file(...kept).trim())
})

test('declarations of imports that nothing names any more are dropped', async () => {
  const root = temporaryFolder()
  mkdirSync(join(root, 'src'))
  writeFileSync(join(root, 'src/page.vue'), "<script>import b from '@/models/b.onnx?dtype=q8&per_channel'</script>")
  writeFileSync(join(root, 'src/server.ts'), "const url = new URL('../c.onnx', import.meta.url)")
  const here = block('*/a.onnx?dtype=fp16', 'a')
  const named = [block('*/models/b.onnx?dtype=q8&per_channel', 'b'), block('*/c.onnx', 'c')]
  const old = file(here, ...named, generic, block('*/a.onnx?dtype=q8', 'a'), block('*/models/b.onnx', 'b'))
  expect((await withoutUnused(old, file(here, generic), root)).trim()).toBe(file(here, ...named, generic).trim())
  // What this build has stays, whoever names it: a query may come from import attributes.
  expect(await withoutUnused(file(here, generic), file(here, generic), root)).toBe(file(here, generic))
})
