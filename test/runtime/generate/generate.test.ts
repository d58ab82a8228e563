import { statSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import {
  type BatchOptions,
  type GenerateOptions,
  generate,
  generateBatch,
} from '../../../src/runtime/generate/index.ts'
import { cacheSlots, emptyCache } from '../../../src/runtime/generate/past.ts'
import { sampler } from '../../../src/runtime/generate/sample.ts'
import { defineModel } from '../../../src/runtime/node.ts'
import type { OnnxTensor, Session } from '../../../src/runtime/types.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { readInfo } from '../support/emitted.ts'

async function open(name: string): Promise<Session> {
  const file = shared(`${name.includes('/') ? '' : 'own/'}${name}.onnx`)
  const variant = { target: 'cpu', device: 'cpu', info: await readInfo(file), bytes: statSync(file).size }
  return defineModel([{ ...variant, url: pathToFileURL(file).href, ort: () => import('onnxruntime-node') }])()
}

async function collect(session: Session, options: GenerateOptions): Promise<number[]> {
  const tokens: number[] = []
  for await (const token of generate(session, options)) tokens.push(token)
  return tokens
}

const prompt = [5, 17, 42, 3, 99]

describe.skipIf(!hasShared)('decoders with a cache', () => {
  test.each(['tiny-gpt2-past', 'tiny-gpt2-past-tf5', 'tiny-llama-past', 'tiny-llama-past-tf5', 'real/tiny-gpt2-past'])(
    '%s: the logits of each step are those of a run over the whole text without a cache',
    async (name) => {
      await using session = await open(name)
      const steps: Float32Array[] = []
      const watched = {
        inputs: session.inputs,
        outputs: session.outputs,
        async run(feeds: never, options: never) {
          const results = (await session.run(feeds, options)) as { [name: string]: OnnxTensor }
          const { data, dims } = results['logits']!
          steps.push(Float32Array.from((data as Float32Array).subarray(-dims[2]!)))
          return results
        },
      }
      const sample = { temperature: 2, seed: 3 }
      const tokens: number[] = []
      for await (const token of generate(watched, { inputs: { input_ids: prompt }, maxNewTokens: 12, sample }))
        tokens.push(token)
      expect(new Set(tokens).size).toBeGreaterThan(6)
      const cached = steps.splice(0)
      for (let step = 0; step < 12; step++) {
        const input_ids = BigInt64Array.from([...prompt, ...tokens.slice(0, step)], BigInt)
        await generate(watched, { inputs: { input_ids }, maxNewTokens: 1 }).next()
        const worst = Math.max(...steps[step]!.map((value, i) => Math.abs(value - cached[step]![i]!)))
        expect(worst).toBeLessThan(1e-5)
      }
    },
  )

  test('a model without cache reads the whole text each time', async () => {
    await using session = await open('tiny-gpt2')
    const tokens = await collect(session, { inputs: { input_ids: prompt }, maxNewTokens: 6 })
    const { logits } = (await session.run(
      { input_ids: [[...prompt, ...tokens.slice(0, 5)]], attention_mask: [Array(10).fill(1)] },
      {},
    )) as { logits: { data: Float32Array; dims: readonly number[] } }
    const last = [...logits.data.subarray(-logits.dims[2]!)]
    expect(tokens[5]).toBe(last.indexOf(Math.max(...last)))
  })

  test('the end token ends it, and is given out', async () => {
    await using session = await open('tiny-llama-past')
    const all = await collect(session, { inputs: { input_ids: prompt }, maxNewTokens: 8 })
    const eos = all[3]!
    const cut = await collect(session, { inputs: { input_ids: prompt }, maxNewTokens: 8, eos: [1e6, eos] })
    expect(cut).toEqual(all.slice(0, all.indexOf(eos) + 1))
  })

  test('a token beyond the vocabulary', async () => {
    await using session = await open('tiny-llama-past')
    const vocabulary = session.outputs.find(({ name }) => name === 'logits')!.shape!.at(-1)
    expect(vocabulary).toEqual(expect.any(Number))
    for (const token of [-1, 0.5, vocabulary as number])
      await expect(collect(session, { inputs: { input_ids: [1, token] }, maxNewTokens: 1 })).rejects.toMatchObject({
        code: 'GENERATE_OPTION',
        message: expect.stringContaining(String(token)),
      })
  })

  test('a seed makes sampling repeatable; other seeds give other texts', async () => {
    await using session = await open('tiny-gpt2-past')
    const run = (seed: number) =>
      collect(session, { inputs: { input_ids: prompt }, maxNewTokens: 10, sample: { temperature: 2, topK: 50, seed } })
    expect(await run(7)).toEqual(await run(7))
    expect(await run(8)).not.toEqual(await run(7))
  })

  test('what can not work is said', async () => {
    await using session = await open('tiny-gpt2-past')
    const fails = (options: Partial<GenerateOptions>) =>
      collect(session, { inputs: { input_ids: prompt }, maxNewTokens: 1, ...options })
    await expect(fails({ inputs: { input_ids: [] } })).rejects.toMatchObject({ code: 'GENERATE_OPTION' })
    await expect(fails({ inputs: { input_ids: [[1, 2]] as never } })).rejects.toMatchObject({ code: 'GENERATE_OPTION' })
    await expect(fails({ maxNewTokens: Number.NaN })).rejects.toMatchObject({ code: 'GENERATE_OPTION' })
    await expect(fails({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
    await using encoder = await open('tiny-bert')
    await expect(collect(encoder, { inputs: { input_ids: [1], x: 1 }, maxNewTokens: 1 })).rejects.toMatchObject({
      code: 'INPUT_UNKNOWN',
    })
  })
})

test('names and shapes of caches', () => {
  const io = (name: string, shape?: (number | string | null)[]) => ({
    name,
    type: 'tensor(float32)',
    dtype: 'float32',
    ...(shape && { shape }),
  })
  const pairs = (inputs: string[], outputs: string[]) =>
    cacheSlots(
      inputs.map((name) => io(name)),
      outputs.map((name) => io(name)),
    ).map(({ output }) => output)
  expect(pairs(['input_ids', 'past_key_values.0.key'], ['logits', 'present.0.key'])).toEqual(['present.0.key'])
  expect(pairs(['past_0', 'past_1'], ['present_0', 'present_1'])).toEqual(['present_0', 'present_1'])
  expect(pairs(['past_key_0'], ['present_key_0'])).toEqual(['present_key_0'])
  expect(() => pairs(['past_0'], ['logits'])).toThrow('has no output')
  expect(emptyCache(io('past_0', [2, 'batch', 4, 'past', 8]))).toEqual([2, 1, 4, 0, 8])
  expect(emptyCache(io('past_0', ['batch', 4, 'past', 8]))).toEqual([1, 4, 0, 8])
  expect(() => emptyCache(io('past_0', [1, 4, 128, 8]))).toThrow('128 tokens')
  expect(() => emptyCache(io('past_0', [1, 'heads', 'past', 8]))).toThrow('dim 1')
})

test('samplers keep to the most likely tokens', () => {
  const logits = [0, 3, Number.NaN, 2.9, -4, Number.NEGATIVE_INFINITY]
  const drawn = (options: Parameters<typeof sampler>[0]) => {
    const draw = sampler(options)
    return [...new Set(Array.from({ length: 300 }, () => draw(logits)))].sort()
  }
  expect(drawn(undefined)).toEqual([1])
  expect(drawn({ temperature: 0 })).toEqual([1])
  expect(drawn({ topK: 1, seed: 1 })).toEqual([1])
  expect(drawn({ topK: 2, seed: 1 })).toEqual([1, 3])
  expect(drawn({ topP: 0.5, seed: 1 })).toEqual([1])
  expect(drawn({ topP: 0.9, seed: 1 })).toEqual([1, 3])
  expect(drawn({ temperature: 5, seed: 1 })).toEqual([0, 1, 3, 4])
  for (const wrong of [{ temperature: -1 }, { topK: 0 }, { topP: 0 }, { topP: 2 }])
    expect(() => sampler(wrong)).toThrow('sample: ')
})

describe.skipIf(!hasShared)('several texts at once', () => {
  const prompts = [prompt, [7], [11, 12, 13]]
  const batch = async (session: Session, options: Omit<BatchOptions, 'inputs'>, input_ids = prompts) => {
    const rows: number[][] = input_ids.map(() => [])
    for await (const step of generateBatch(session, { ...options, inputs: { input_ids } }))
      step.forEach((token, row) => void (token !== undefined && rows[row]!.push(token)))
    return rows
  }

  test.each(['tiny-gpt2-past', 'tiny-gpt2-past-tf5', 'tiny-llama-past', 'tiny-llama-past-tf5'])(
    '%s: each is what it is alone, whatever fills it up',
    async (name) => {
      await using session = await open(name)
      const alone = await Promise.all(
        prompts.map((input_ids) => collect(session, { inputs: { input_ids }, maxNewTokens: 8 })),
      )
      for (const pad of [0, 42]) expect(await batch(session, { maxNewTokens: 8, pad })).toEqual(alone)
      const eos = alone[1]![2]!
      const cut = (tokens: number[]) => (tokens.includes(eos) ? tokens.slice(0, tokens.indexOf(eos) + 1) : tokens)
      expect(await batch(session, { maxNewTokens: 8, eos })).toEqual(alone.map(cut))
    },
  )

  test('one row with a seed is sampled as alone', async () => {
    await using session = await open('tiny-llama-past')
    const options = { maxNewTokens: 8, sample: { temperature: 2, topK: 50, topP: 0.9, seed: 5 } }
    const alone = await collect(session, { ...options, inputs: { input_ids: prompt } })
    expect(await batch(session, options, [prompt])).toEqual([alone])
    expect(await batch(session, options)).toEqual(await batch(session, options))
  })

  test('a model that is not told of positions takes texts of one length only', async () => {
    await using session = await open('tiny-gpt2')
    const same = [prompt, [9, 8, 7, 6, 5]]
    const alone = await Promise.all(
      same.map((input_ids) => collect(session, { inputs: { input_ids }, maxNewTokens: 3 })),
    )
    expect(await batch(session, { maxNewTokens: 3 }, same)).toEqual(alone)
    await expect(batch(session, { maxNewTokens: 3 })).rejects.toMatchObject({ code: 'GENERATE_MODEL' })
    await expect(batch(session, { maxNewTokens: 3 }, [])).rejects.toMatchObject({ code: 'GENERATE_OPTION' })
    await expect(batch(session, { maxNewTokens: 3 }, [prompt, []])).rejects.toMatchObject({ code: 'GENERATE_OPTION' })
  })
})
