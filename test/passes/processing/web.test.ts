import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { picture } from '../../../bench/support/pixels.mjs'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Dim } from '../../../src/graph/types.ts'
import { parseOperatorTable } from '../../../src/lint/operators.ts'
import { STEPS } from '../../../src/passes/processing/table.ts'
import { bytesOf } from '../../support/models.ts'
import { apart, evaluate, passingOn, pixels, process } from './support.ts'

const { readFileSync } = await import('node:fs')
const require = createRequire(import.meta.url)
const photo = picture(203, 157)
const sound = Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(i / 7) / 2)

/** Steps, what the model between takes, and what goes in. Together they have every step of the table. */
const CASES: Record<string, [pre: string, post: string, dims: Dim[], input: Tensor]> = {
  imagenet: ['imagenet', '', [1, 3, 224, 224], pixels(photo)],
  image: ['image(interpolation:cubic,channels:grey)', '', [1, 1, 28, 28], pixels(photo)],
  'boxes in one': ['yolo', 'squeeze(1),detections(draw:true,format:yolov5)', [1, 1, 10, 7], pixels(photo)],
  yolo: ['yolo(size:32)', 'squeeze(0),transpose([1,0,2]),argMax,identity', [1, 3, 32, 32], pixels(photo)],
  'boxes one by one': [
    'image',
    'squeeze([0,1]),splitOutBoxAndScore,selectBestBoundingBoxesByNMS,scaleNMSBoundingBoxesAndKeyPoints,drawBoundingBoxes',
    [1, 1, 10, 7],
    pixels(photo),
  ],
  'boxes with confidence': [
    'image',
    'squeeze([0,1]),debug,split(splits:[8,2],axis:-1),splitOutBoxAndScoreWithConf,selectBestBoundingBoxesByNMS(hasMaskData:true),splitDetections(numKeyPoints:1)',
    [1, 1, 10, 10],
    pixels(photo),
  ],
  superresolution: ['superresolution', 'superresolution', [1, 1, 32, 48], pixels(photo)],
  'colours one by one': [
    'convertImageToBGR,reverseAxis,resize([32,48],policy:stretch),pixelsToYCbCr,imageBytesToFloat,channelsLastToChannelsFirst,unsqueeze',
    'floatToImageBytes,yCbCrToPixels,convertBGRToImage',
    [1, 1, 32, 48],
    pixels(photo),
  ],
  'pixels one by one': [
    'resize(40,interpolation:nearest),centerCrop(32),channels(bgr),letterBox(36),normalize(mean:127,std:[64,64,64]),channelsLastToChannelsFirst,channelsFirstToChannelsLast,transpose([2,0,1])',
    'softmax,sigmoid,topK(3)',
    [1, 3, 36, 36],
    pixels(photo),
  ],
  whisper: ['whisper', '', [1, 80, 3000], Tensor.float32([sound.length], sound)],
  'sound one by one': [
    'audio(16000,normalize:true),spectrogram(window:64),mel(20)',
    '',
    [1, 20, 'n'],
    Tensor.float32([sound.length], sound),
  ],
  'an image out': ['image', 'toImage(mean:[0.1,0.2,0.1],std:0.5)', [1, 3, 20, 24], pixels(photo)],
  'filter banks': ['fbank(mels:40)', '', [1, 'n', 40], Tensor.float32([sound.length], sound)],
  'log mel': ['logMel(window:64)', '', [1, 80, 'n'], Tensor.float32([sound.length], sound)],
}

/** Operators on floats at the beginning that WebGPU may leave to the CPU: they read bytes or sizes. */
const ON_CPU = ['Clip', 'Resize', 'Slice', 'Transpose', 'Pad', 'Shape', 'Mod']

describe('in onnxruntime-web', () => {
  test.each(Object.keys(CASES))('%s runs, and gives the same', async (name) => {
    const [pre, post, dims, input] = CASES[name]!
    const model = passingOn(dims)
    await process(model, { preprocess: pre, ...(post ? { postprocess: post } : {}) })
    expect([...model.opsets.keys()]).toEqual([''])
    const expected = await evaluate(model, { x: input })
    const ort = (await import('onnxruntime-web/wasm')) as typeof import('onnxruntime-web')
    ort.env.wasm.numThreads = 1
    ort.env.wasm.wasmPaths = pathToFileURL(require.resolve('onnxruntime-web').replace(/[^/\\]*$/, '')).href
    const session = await ort.InferenceSession.create(bytesOf(model))
    const data = input.dtype === 'uint8' ? Uint8Array.from(input.toNumbers()) : Float32Array.from(input.toNumbers())
    const found = await session.run({ x: new ort.Tensor(input.dtype as 'uint8', data as Uint8Array, input.dims) })
    for (const [output, value] of Object.entries(expected)) {
      const got = Array.from(found[output]!.data as Float32Array, Number)
      // Sums in another order: bytes may round to the other side, and edges of boxes move by a pixel.
      const wanted = value.toNumbers()
      if (value.dtype !== 'uint8') expect(apart(got, wanted)).toBeLessThan(1e-2)
      else expect(got.reduce((sum, byte, i) => sum + Math.abs(byte - wanted[i]!), 0) / got.length).toBeLessThan(1)
    }
    await session.release()
  })

  test('every step is among these, or asks for a file', () => {
    const written = Object.values(CASES).flatMap(
      ([pre, post]) => [pre, post].join().match(/[A-Za-z]+(?=\(|,|$)/g) ?? [],
    )
    const missing = Object.keys(STEPS).filter((step) => !written.includes(step))
    expect(missing.sort()).toEqual(['answer', 'tokens'])
  })

  test('what comes before a model leaves WebGPU only for bytes and sizes', async () => {
    const table = parseOperatorTable(
      readFileSync(require.resolve('onnxruntime-web').replace(/dist.*$/, 'docs/webgpu-operators.md'), 'utf8'),
      'test',
    )
    const leaving = new Set<string>()
    for (const [pre, , dims] of Object.values(CASES)) {
      const model = passingOn(dims)
      await process(model, { preprocess: pre })
      for (const { opType } of model.graph.nodes()) if (!table.has('', opType, 18)) leaving.add(opType)
    }
    expect([...leaving].filter((op) => !ON_CPU.includes(op) && op !== 'Identity' && op !== 'Max')).toEqual([])
  })
})
