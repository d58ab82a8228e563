import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import type { Dim } from '../../../../src/graph/types.ts'
import type { DType } from '../../../../src/onnx/dtypes.ts'
import { loadSharp } from '../../../../src/passes/quantize/calibrate/data/images.ts'
import { type DataOptions, openData } from '../../../../src/passes/quantize/calibrate/data/index.ts'
import { buildModel } from '../../../support/models.ts'
import { temporaryFolder } from '../../../support/temporary.ts'

const hasSharp = await loadSharp([import.meta.url], '').then(
  () => true,
  () => false,
)

/** A folder with a red image of 4 x 2 pixels whose right half is blue, and a grey one in a folder below. */
async function images(): Promise<string> {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'more'))
  const sharp = createRequire(import.meta.url)('sharp') as typeof import('sharp').default
  const colours = [255, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255]
  const raw = { width: 4, height: 2, channels: 3 } as const
  await sharp(Uint8Array.from([...colours, ...colours]), { raw })
    .png()
    .toFile(join(folder, 'a.png'))
  await sharp(new Uint8Array(24).fill(100), { raw })
    .png()
    .toFile(join(folder, 'more', 'b.png'))
  return folder
}

const modelOf = (dims: readonly Dim[], dtype: DType = 'float32'): Model =>
  buildModel(17, (graph, input) => [graph.insert({ op: 'Identity', inputs: [input('image', dims, dtype)] }).output()])

async function read(model: Model, options: Omit<DataOptions, 'calibration'>): Promise<[string, number[], number[]][]> {
  const samples: [string, number[], number[]][] = []
  for await (const { image } of openData(model, { calibration: await images(), ...options }).open())
    samples.push([image!.dtype!, [...image!.dims], image!.toNumbers().map((value) => Math.round(value * 1000) / 1000)])
  return samples
}

describe.skipIf(!hasSharp)('images', () => {
  test('in channels of rows, 0..1', async () => {
    const [first, second] = await read(modelOf([1, 3, 2, 4]), {})
    const rows = (left: number, right: number): number[] => [left, left, right, right, left, left, right, right]
    expect(first).toEqual(['float32', [1, 3, 2, 4], [...rows(1, 0), ...rows(0, 0), ...rows(0, 1)]])
    expect(second![2]).toEqual(Array(24).fill(0.392))
  })

  test('channels last, blue first, with mean and deviation', async () => {
    const [first] = await read(modelOf(['n', 2, 4, 3]), {
      imageOrder: 'bgr',
      imageMean: ['0.5', '0.5', '1'],
      imageStd: ['0.5'],
    })
    expect(first![2].slice(0, 3)).toEqual([-1, -1, 0])
    expect(first![2].slice(-3)).toEqual([1, -1, -2])
  })

  test('cut, stretched, or filled up with black', async () => {
    const corners = async (imageFit: 'cover' | 'contain' | 'fill'): Promise<number[]> => {
      const [first] = await read(modelOf([1, 3, 'h', 'w']), { imageSize: ['4'], imageFit })
      expect(first![1]).toEqual([1, 3, 4, 4])
      return [first![2][0]!, first![2].at(-1)!]
    }
    expect(await corners('contain')).toEqual([0, 0])
    expect(await corners('fill')).toEqual([1, 1])
    for (const value of await corners('cover')) expect(value).toBeGreaterThan(0.9)
    const [cropped] = await read(modelOf([1, 3, 2, 2]), { imageCrop: 0.5, imageFit: 'fill' })
    expect(cropped![1]).toEqual([1, 3, 2, 2])
  })

  test('grey, and as whole numbers', async () => {
    const [, grey] = await read(modelOf([1, 1, 2, 4]), {})
    expect(grey![2]).toEqual(Array(8).fill(0.392))
    const [, whole] = await read(modelOf([1, 2, 4, 3], 'uint8'), {})
    expect(whole).toEqual(['uint8', [1, 2, 4, 3], Array(24).fill(100)])
  })

  test.each([
    [modelOf([1, 3, 'h', 'w']), {}, /images of any size/],
    [modelOf([1, 10]), {}, /no input of images/],
    [modelOf([1, 3, 2, 4]), { imageMean: ['1', '2'] }, /imageMean must be one number/],
    [modelOf([1, 3, 2, 4]), { imageStd: ['0'] }, /imageStd must be one number/],
  ])('what does not go together', async (model, options, message) => {
    await expect(read(model, options)).rejects.toThrow(message)
  })
})

test('without sharp there is one clear error', async () => {
  await expect(loadSharp([join(temporaryFolder(), 'x.js')], 'images')).rejects.toMatchObject({
    code: 'SHARP_MISSING',
    hint: expect.stringContaining('npm install -D sharp'),
  })
})
