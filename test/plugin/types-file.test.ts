import { expect, test } from 'vitest'
import { mergeBlocks } from '../../src/plugin/types-file.ts'

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
