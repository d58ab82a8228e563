import { expect, test } from 'vitest'
import { type PluginOptions, resolveRequest } from '../../src/options/index.ts'

const at = { file: '/app/models/bert.onnx', root: '/app' }
const paramsOf = (plugin: PluginOptions, query = ''): Record<string, unknown> => {
  const { params } = resolveRequest({ plugin, query, ...at }).targets[0]!
  return Object.fromEntries(Object.entries(params).filter(([key]) => key.startsWith('verify')))
}

test('verify in one piece is the same as its parameters one by one', () => {
  const whole = paramsOf({
    targets: { cpu: { verify: { cosine: 0.9, samples: 2, inputs: ['a.npz'] } } },
    target: 'cpu',
  })
  expect(whole).toEqual({ verify: true, verifyCosine: 0.9, verifySamples: 2, verifyInputs: ['a.npz'] })
  expect(paramsOf({}, 'verify&verify_cosine=0.9&verify_samples=2&verify_inputs=a.npz')).toEqual(whole)
})

test('a query adds to it, and turns it off', () => {
  expect(paramsOf({ verify: { cosine: 0.9 } }, 'verify_rtol=0.1')).toEqual({
    verify: true,
    verifyCosine: 0.9,
    verifyRtol: 0.1,
  })
  expect(paramsOf({ verify: { cosine: 0.9 } }, 'verify=false')['verify']).toBe(false)
})

test('a wrong setting in it is an error', () => {
  const wrong = { verify: { cosinus: 0.9 } } as PluginOptions
  expect(() => paramsOf(wrong)).toThrow(/unknown option `verifyCosinus`/)
})
