import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, describe, expect, test } from 'vitest'
import { picture } from '../../bench/support/pixels.mjs'
import type { Model as Graph } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { toRgba } from '../../src/runtime/results/picture.ts'
import type { Answer, Classification, Detection, PredictingModel, RawImage } from '../../src/runtime/types.ts'
import { passingOn } from '../passes/processing/support.ts'
import { boxesModel } from '../support/boxes-model.ts'
import { chromiumPath } from '../support/chromium.ts'
import { buildModel, copyOf } from '../support/models.ts'
import { writeTokenizer } from '../support/tokenizer.ts'
import { projectFolder } from './support/emitted.ts'
import { emitSteps, loadEmitted, withPage } from './support/steps.ts'

const folder = projectFolder()
afterAll(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'labels.txt'), 'red\ngreen\nblue\n')
writeTokenizer(folder)

/** The mean of each channel of an image [1, 3, 8, 8]. */
function meanColours(): Graph {
  return copyOf(
    buildModel(18, (graph, input) => [
      graph
        .insert({
          op: 'ReduceMean',
          inputs: [input('x', [1, 3, 8, 8]), graph.addInitializer('axes', Tensor.int64([2, 3]))],
          attributes: {},
          outputs: ['y'],
        })
        .output(),
    ]),
  )
}
const flatten = 'squeeze([2,3]),topK(2,labels:labels.txt)'
/** An image of one colour, with four bytes per pixel. */
const plain = (red: number, green: number, blue: number, width = 10, height = 12) => ({
  data: Uint8Array.from({ length: width * height * 4 }, (_, i) => [red, green, blue, 255][i % 4]!),
  width,
  height,
})

/** Start and end scores of a question-answering model: those of its own table for each token. */
function spanModel(
  table: Readonly<Record<number, readonly [start: number, end: number]>>,
  names = ['input_ids', 'attention_mask', 'token_type_ids'],
): Graph {
  return copyOf(
    buildModel(18, (graph, input) => {
      const [ids] = names.map((name) => input(name, ['batch', 'n'], 'int64'))
      return [0, 1].map((side) => {
        const scores = Float32Array.from({ length: 11 }, (_, id) => table[id]?.[side] ?? 0)
        const rows = graph.addInitializer(`table${side}`, Tensor.float32([11], scores))
        return graph.insert({ op: 'Gather', inputs: [rows, ids!], outputs: [side ? 'ends' : 'starts'] }).output()
      })
    }),
  )
}

async function start<T>(model: Graph, steps: Parameters<typeof emitSteps>[2]) {
  const made = await loadEmitted<PredictingModel<never, never, T>>(
    folder,
    await emitSteps(folder, model, steps, 'node'),
  )
  return { made, session: await made() }
}

describe('in Node', () => {
  test('classes come out with labels and scores', async () => {
    const { made, session } = await start<Classification[]>(meanColours(), {
      preprocess: 'image',
      postprocess: flatten,
    })
    const found = (await session.predict(plain(20, 250, 90) as never)) as Classification[]
    expect(found.map(({ label, class: number }) => [label, number])).toEqual([
      ['green', 1],
      ['blue', 2],
    ])
    expect(found[0]!.score).toBeGreaterThan(found[1]!.score)
    expect(made.info.result).toEqual({
      kind: 'classes',
      outputs: { classes: 'classes', scores: 'scores', labels: 'labels' },
    })
    expect(((await session.run({ x: plain(1, 2, 3) } as never)) as Record<string, unknown>)['labels']).toBeDefined()
    await expect(session.predict({ x: plain(0, 0, 0, 0, 0) } as never)).rejects.toMatchObject({ code: 'INPUT_IMAGE' })
    const view = await session.withAdapter(undefined)
    expect(((await view.predict(plain(200, 1, 1) as never)) as Classification[])[0]!.label).toBe('red')
    await session.dispose()
    await expect(session.predict(plain(1, 1, 1) as never)).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
  })

  test('several images have a result each', async () => {
    const model = copyOf(
      buildModel(18, (graph, input) => {
        const axes = graph.addInitializer('axes', Tensor.int64([2, 3]))
        const inputs = [input('x', ['batch', 3, 8, 8]), axes]
        return [graph.insert({ op: 'ReduceMean', inputs, attributes: {}, outputs: ['y'] }).output()]
      }),
    )
    const { session } = await start<Classification[]>(model, { preprocess: 'image(batch:true)', postprocess: flatten })
    const images = [plain(9, 9, 200), plain(200, 9, 9, 30, 7)]
    const found = (await session.predict(images as never)) as unknown as Classification[][]
    expect(found.map(([first]) => first!.label)).toEqual(['blue', 'red'])
    await session.dispose()
  })

  test('boxes come out as objects, with key points', async () => {
    const row = [32, 32, 16, 8, 1, 0.2, 0.9, 30, 20, 0.5]
    const model = boxesModel([row])
    const { session } = await start<Detection[]>(model, {
      preprocess: 'yolo',
      postprocess: 'detections(format:yolov5,keyPoints:1)',
    })
    const found = (await session.predict(plain(9, 9, 9, 128, 64) as never)) as Detection[]
    expect(found).toEqual([
      {
        class: 1,
        score: Math.fround(0.9),
        x: 48,
        y: 24,
        width: 32,
        height: 16,
        keyPoints: [{ x: 60, y: 8, score: 0.5 }],
      },
    ])
    await session.dispose()
  })

  test('images come out as sharp takes them', async () => {
    const { made, session } = await start<RawImage>(passingOn([1, 3, 'h', 'w']), {
      preprocess: 'channels(bgr),normalize(mean:[20,20,20],std:[3,4,5])',
      postprocess: 'toImage(scale:1,mean:[20,20,20],std:[3,4,5],channels:bgr)',
    })
    const photo = picture(30, 20)
    const image = (await session.predict(photo as never)) as RawImage
    expect(made.info.result?.kind).toBe('image')
    expect([...image.data]).toEqual([...photo.data].map((byte, i) => (i % 4 === 3 ? 255 : byte)))
    const png = await sharp(image.data, { raw: image }).png().toBuffer()
    expect((await sharp(png).metadata()).width).toBe(30)
    await session.dispose()
  })

  test('brightness is grey; what is no image is said', () => {
    expect([...toRgba({ dims: [1, 2, 1], data: Uint8Array.of(3, 4) }).data]).toEqual([3, 3, 3, 255, 4, 4, 4, 255])
    expect(toRgba({ dims: [1, 2, 3, 3], data: new Uint8Array(18) })).toMatchObject({ width: 3, height: 2 })
    for (const wrong of [
      { dims: [2, 2, 2], data: new Uint8Array(8) },
      { dims: [1, 2, 3], data: new Float32Array(6) },
      { dims: [2, 1, 2, 3], data: new Uint8Array(12) },
    ])
      expect(() => toRgba(wrong)).toThrow('no image')
  })
})

describe('answers', () => {
  const steps = { preprocess: 'tokens(maxLength:32)', postprocess: 'answer' }
  // Tokens: 4 the, 5 cat, 6 sat, 7 on, 8 mat, 9 ##s, 10 a.
  const best = { 5: [5, 0], 9: [0, 5] } as const

  test('the words of the context, as they are written there', async () => {
    const { session } = await start<Answer>(spanModel(best), steps)
    const question = { text: 'the mat', textPair: '  The  CÁTS, sat!' }
    const answer = (await session.predict(question as never)) as Answer
    expect(answer).toMatchObject({ text: 'CÁTS', start: 7, end: 11 })
    expect(question.textPair.slice(answer.start, answer.end)).toBe('CÁTS')
    expect(answer.score).toBeGreaterThan(0)
    await session.dispose()
  })

  test('the question, padding and separators are not searched, with and without types', async () => {
    for (const names of [undefined, ['input_ids', 'attention_mask'], ['input_ids']]) {
      const model = spanModel({ 5: [5, 5], 3: [9, 9], ...(names?.length === 1 ? {} : { 0: [7, 7] }) }, names)
      const { session } = await start<Answer>(model, steps)
      const texts = { text: ['cat', 'a cat a'], textPair: ['the cat on a mat', 'cats'] }
      const answers = (await session.predict(texts as never)) as unknown as Answer[]
      expect(answers.map(({ text, start: at }) => [text, at])).toEqual([
        ['cat', 4],
        ['cat', 0],
      ])
      await session.dispose()
    }
  })

  test('several at once, of several lengths; unknown words in between', async () => {
    const { session } = await start<Answer>(spanModel({ 5: [5, 0], 8: [0, 5] }), steps)
    const texts = {
      text: ['a', 'a the a'],
      textPair: ['the cat zzz mat', '😀 (Cat) on an unknown mat. a'],
    }
    const answers = (await session.predict(texts as never)) as unknown as Answer[]
    expect(answers.map(({ text }) => text)).toEqual(['cat zzz mat', 'Cat) on an unknown mat'])
    await session.dispose()
  })

  test('unknown words at the ends; a cut context; nothing to be found', async () => {
    const { session } = await start<Answer>(spanModel({ 1: [5, 5] }), steps)
    const one = (textPair: string) => session.predict({ text: 'a', textPair } as never) as Promise<Answer>
    expect((await one('the qq cat')).text).toBe('qq')
    await session.dispose()
    const cut = await start<Answer>(spanModel({ 5: [5, 0], 3: [0, 9] }), {
      ...steps,
      preprocess: 'tokens(maxLength:6)',
    })
    // [CLS] a [SEP] the cat [SEP]: what follows is cut, and the last token is no part of the context.
    const end = (await cut.session.predict({ text: 'a', textPair: 'the cat sat on a mat' } as never)) as Answer
    expect(end).toMatchObject({ text: 'cat', start: 4, end: 7 })
    await expect(cut.session.predict('no pair' as never)).rejects.toMatchObject({ code: 'INPUT_TEXT' })
    await cut.session.dispose()
  })
})

test('positions of tokens without a tokenizer are just that', async () => {
  const model = await loadEmitted<PredictingModel>(
    folder,
    await emitSteps(folder, spanModel({}), { postprocess: 'answer' }, 'node'),
  )
  expect(model.info.result).toBeUndefined()
})

declare function predict(): Promise<unknown>

describe.skipIf(!chromiumPath)('in Chromium', () => {
  test('an image comes out as ImageData', async () => {
    const module = await emitSteps(
      folder,
      passingOn([1, 3, 'h', 'w']),
      { preprocess: 'imageBytesToFloat', postprocess: 'toImage' },
      'web',
    )
    const app = `globalThis.predict = async () => {
      const session = await model({ target: 'wasm' })
      const canvas = Object.assign(document.createElement('canvas'), { width: 3, height: 2 })
      const context = canvas.getContext('2d')
      context.fillStyle = 'rgb(10, 200, 30)'
      context.fillRect(0, 0, 3, 2)
      const image = await session.predict(canvas)
      context.putImageData(image, 0, 0)
      return { isImage: image instanceof ImageData, width: image.width, height: image.height, data: [...image.data.slice(0, 8)] }
    }`
    await withPage({ folder, module, app }, async (page) => {
      expect(await page.evaluate(() => predict())).toEqual({
        isImage: true,
        width: 3,
        height: 2,
        data: [10, 200, 30, 255, 10, 200, 30, 255],
      })
    })
  })

  test.each([false, true])('labels and boxes, WebGPU in software: %s', async (webgpu) => {
    const row = [32, 32, 16, 8, 1, 0.2, 0.9]
    const model = boxesModel([row])
    writeFileSync(join(folder, 'two.txt'), 'one\ntwo\n')
    const steps = { preprocess: 'yolo', postprocess: 'detections(format:yolov5,labels:two.txt)' }
    const module = await emitSteps(folder, model, steps, 'web')
    const app = `globalThis.predict = async () => {
      const session = await model({ target: ${webgpu ? "'gpu'" : "'wasm'"} })
      return { device: session.device, found: await session.predict(new ImageData(128, 64)) }
    }`
    await withPage({ folder, module, app, webgpu }, async (page) => {
      const { device, found } = (await page.evaluate(() => predict())) as { device: string; found: Detection[] }
      expect(device).toBe(webgpu ? 'webgpu' : 'wasm')
      expect(found).toMatchObject([{ label: 'two', class: 1, x: 48, y: 24, width: 32, height: 16 }])
    })
  })
})
