import { expect, test } from 'vitest'
import { resolveRequest } from '../src/options/index.ts'
import { STEPS } from '../src/passes/processing/table.ts'
import * as made from '../src/processing.ts'

test('there is a function for every step', () => {
  expect(Object.keys(made).sort()).toEqual(Object.keys(STEPS).sort())
  for (const [name, make] of Object.entries(made)) expect((make as () => object)()).toEqual({ step: name })
})

test('the configuration, the query and the command line mean the same', () => {
  const { image, topK } = made
  const base = { file: '/project/m.onnx', root: '/project' }
  const plugin = {
    models: {
      'm.onnx': {
        preprocess: image({ size: 224, resize: 256, mean: [0.5, 0.4, 0.3], std: 0.2 }),
        postprocess: [topK({ k: 3, labels: 'names.txt' })],
      },
    },
  }
  const written = {
    preprocess: 'image(224,resize:256,mean:[0.5,0.4,0.3],std:0.2)',
    postprocess: 'top_k(3,labels:names.txt)',
  }
  const wanted = {
    preprocess: [{ step: 'image', size: [224], resize: 256, mean: [0.5, 0.4, 0.3], std: [0.2] }],
    postprocess: [{ step: 'topK', k: 3, labels: 'names.txt' }],
  }
  const paramsOf = (request: object) => resolveRequest({ ...base, ...request }).targets[0]!.params
  expect(paramsOf({ plugin })).toMatchObject(wanted)
  expect(paramsOf({ query: `?preprocess=${written.preprocess}&postprocess=${written.postprocess}` })).toMatchObject(
    wanted,
  )
  expect(paramsOf({ query: written })).toMatchObject(wanted)
  expect(made.resize(256)).toEqual({ step: 'resize', resizeTo: 256 })
})
