import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { generateModule } from '../../../src/codegen/module.ts'
import { generate, generateBatch } from '../../../src/runtime/generate/index.ts'
import { defineModel } from '../../../src/runtime/node.ts'
import { chromiumPath, launchChromium, type Serve, serve } from '../../support/chromium.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { serveApp } from '../support/app.ts'
import { readInfo, root, variantOf } from '../support/emitted.ts'

const prompt = [5, 17, 42, 3, 99]

/** A page whose `run(keep)` generates eight tokens and tells where the cache was. */
async function page(file: string): Promise<Serve> {
  const variant = await variantOf(file, 'webgpu', '"./model.onnx"')
  const part = 'ort-wasm-simd-threaded.asyncify'
  const wasm = { mjs: `"./ort/${part}.mjs"`, wasm: `"./ort/${part}.wasm"` }
  const code = generateModule({
    as: 'session',
    runtime: 'web',
    importRuntime: resolve(root, 'src/runtime/web.ts'),
    variants: [{ ...variant, wasm }],
  })
  const contents = `import model from 'model'
    import { generate, generateBatch } from ${JSON.stringify(resolve(root, 'src/runtime/generate/index.ts'))}
    globalThis.run = async (input_ids, keep) => {
      const session = await model({ keep, fallback: false })
      const locations = new Set()
      const watched = { ...session, async run(...args) {
        const results = await session.run(...args)
        for (const name in results) if (name !== 'logits') locations.add(results[name].location)
        return results
      } }
      const tokens = []
      const sample = { temperature: 2, seed: 3 }
      for await (const token of generate(watched, { inputs: { input_ids }, maxNewTokens: 8, sample })) tokens.push(token)
      const batch = []
      for await (const step of generateBatch(session, { inputs: { input_ids: [input_ids, input_ids.slice(3)] }, maxNewTokens: 6 }))
        batch.push(step)
      await session.dispose()
      return { batch, tokens, locations: [...locations], device: session.device }
    }`
  return serveApp(contents, code, (name) => (name === 'model.onnx' ? file : undefined))
}

declare function run(
  tokens: number[],
  keep: string[] | true,
): Promise<{ batch: number[][]; tokens: number[]; locations: string[]; device: string }>

describe.skipIf(!chromiumPath || !hasShared)('in Chromium with WebGPU', () => {
  test.each(['tiny-llama-past', 'tiny-gpt2-past'])(
    '%s: the cache stays on the device, and the text is the one that Node gives',
    async (name) => {
      const file = shared(`own/${name}.onnx`)
      const server = await serve(await page(file))
      const browser = await launchChromium({ webgpu: true })
      try {
        const tab = await browser.newPage()
        await tab.goto(`${server.origin}/app/`)
        await tab.waitForFunction(() => 'run' in globalThis)
        const keep = name === 'tiny-gpt2-past' ? true : ['present*']
        const kept = await tab.evaluate(([tokens, keep]) => run([...tokens], keep === true ? true : [...keep]), [
          prompt,
          keep,
        ] as const)
        expect(kept).toMatchObject({ device: 'webgpu', locations: ['gpu-buffer'] })
        const variant = { target: 'cpu', device: 'cpu', info: await readInfo(file), bytes: statSync(file).size }
        await using session = await defineModel([
          { ...variant, url: pathToFileURL(file).href, ort: () => import('onnxruntime-node') },
        ])()
        const expected: number[] = []
        const sample = { temperature: 2, seed: 3 }
        for await (const token of generate(session, { inputs: { input_ids: prompt }, maxNewTokens: 8, sample }))
          expected.push(token)
        expect(kept.tokens).toEqual(expected)
        const inputs = { input_ids: [prompt, prompt.slice(3)] }
        const batch: (number | undefined)[][] = []
        for await (const step of generateBatch(session, { inputs, maxNewTokens: 6 })) batch.push(step)
        expect(kept.batch).toEqual(batch)
      } finally {
        await browser.close()
        await server.close()
      }
    },
  )
})
