import { expect, test } from 'vitest'
import { canonicalJson } from '../../src/pipeline/canonical.ts'
import { cacheKey, installedOrtVersion, type KeyParts } from '../../src/pipeline/key.ts'
import { planBuild } from '../../src/pipeline/plan.ts'
import { passes, stamp } from './support/passes.ts'

const plan = (params: Record<string, unknown>, device = 'cpu', registry = passes) =>
  planBuild({ device, params }, registry)
const inputs = { model: 'aa', external: [], dependencies: [] }
const key = (parts: Partial<KeyParts> = {}) =>
  cacheKey({ name: 'm.onnx', inputs, plan: plan({ stamp: 'a' }), ortVersion: '1', cpu: () => 'avx2', ...parts })

test('is the same for the same', () => {
  expect(key()).toMatch(/^[0-9a-f]{64}$/)
  expect(key({ plan: plan({ repeat: 1, stamp: 'a', unrelated: 3 }) })).toBe(key())
})

test('presentation decides nothing', () => expect(key({ plan: plan({ stamp: 'a', stampLook: 'bold' }) })).toBe(key()))

test.each<[string, Partial<KeyParts>]>([
  ['the content', { inputs: { ...inputs, model: 'bb' } }],
  ['external data', { inputs: { ...inputs, external: [['w', 'bb']] } }],
  ['files that passes depend on', { inputs: { ...inputs, dependencies: ['bb'] } }],
  ['the name', { name: 'n.onnx' }],
  ['a parameter', { plan: plan({ stamp: 'b' }) }],
  ['a parameter that has a default', { plan: plan({ stamp: 'a', repeat: 2 }) }],
  ['the device', { plan: plan({ stamp: 'a' }, 'webgpu') }],
  ['the passes', { plan: plan({ stamp: 'a', include: 'a' }) }],
  ['the version of a pass', { plan: plan({ stamp: 'a' }, 'cpu', [{ ...stamp, version: 2 }]) }],
  ['the version of ONNX Runtime', { ortVersion: '2' }],
  ['the version of the kernels that notes tell of', { webKernels: '1' }],
])('%s decides', (_, parts) => expect(key(parts)).not.toBe(key()))

test('the processor decides where a pass says so, and nowhere else', () => {
  const other = () => 'neon'
  expect(key({ cpu: other })).toBe(key())
  const tuned = plan({ tuned: true })
  expect(key({ plan: tuned, cpu: other })).not.toBe(key({ plan: tuned }))
})

test('the device of a plan without passes decides nothing', () =>
  expect(key({ plan: plan({}, 'webgpu') })).toBe(key({ plan: plan({}) })))

test('passes get their own parameters, defaults included', () => {
  const { steps } = plan({ stamp: 'a', include: undefined, tuned: false })
  expect(steps.map(({ pass, params }) => [pass.name, params])).toEqual([['stamp', { stamp: 'a', repeat: 1 }]])
})

test('the version of ONNX Runtime is that of the installed package', () =>
  expect(installedOrtVersion()).toMatch(/^\d+\.\d+\.\d+/))

test('canonical JSON does not depend on the order of keys', () => {
  expect(canonicalJson({ b: [1, { d: undefined, c: 'x' }], a: null })).toBe('{"a":null,"b":[1,{"c":"x"}]}')
  expect(canonicalJson({ a: { y: 1, x: 2 } })).toBe(canonicalJson({ a: { x: 2, y: 1 } }))
  expect(JSON.parse(canonicalJson(['\u2028"', 1e21, true]))).toEqual(['\u2028"', 1e21, true])
})
