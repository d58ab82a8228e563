import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bytesOf } from '../support/models.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { embeddings, writeTokenizer } from '../support/tokenizer.ts'
import { failure, output } from './output.ts'

/** An app outside of this package, so that none of the packages installed here is found. */
function app(query: string): string {
  const root = temporaryFolder()
  writeTokenizer(root)
  writeFileSync(join(root, 'text.onnx'), bytesOf(embeddings(11)))
  writeFileSync(join(root, 'main.js'), `import model from './text.onnx${query}'\nexport const open = () => model()\n`)
  return root
}

// Rollup and Rolldown look from the working directory, and other bundlers say themselves which module they did not find.
test('Vite without onnxruntime-web says what to install', async () => {
  const message = await failure(() => output('vite', { root: app(''), entry: 'main.js', platform: 'web' }))
  expect(message).toMatch(/RUNTIME_MISSING.*onnxruntime-web is not installed[\s\S]*npm install onnxruntime-web/)
})

test('Vite without the tokenizer library says what to install', async () => {
  const message = await failure(() => output('vite', { root: app('?preprocess=tokens'), entry: 'main.js' }))
  expect(message).toMatch(/TOKENIZERS_MISSING[\s\S]*npm install @huggingface\/tokenizers/)
})
