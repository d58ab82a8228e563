import { expect, test } from 'vitest'
import type { As } from '../../src/options/index.ts'
import { reachable } from '../../src/plugin/reachable.ts'

const devices = (names: string, as: As, kind?: 'client' | 'server') =>
  reachable(
    names.split(' ').map((device) => ({ device, params: {} })),
    as,
    kind && { kind },
  ).map(({ device }) => device)

test.each([
  ['webgpu wasm cuda cpu', 'client', 'webgpu wasm'],
  ['webgpu wasm cuda cpu', 'server', 'cuda cpu'],
  ['webgpu wasm cuda cpu', undefined, 'webgpu wasm cuda cpu'],
  ['cpu', undefined, 'cpu'],
  // Rendered on a server, run in the browser.
  ['webgpu wasm', 'server', 'webgpu wasm'],
] as const)('%s in %s: %s', (names, kind, expected) => {
  expect(devices(names, 'session', kind).join(' ')).toBe(expected)
})

test('a browser gets nothing that only Node runs, but its URL', () => {
  for (const as of ['session', 'bytes', 'path'] as const)
    expect(() => devices('coreml', as, 'client')).toThrow(/TARGET_ENVIRONMENT.*'coreml' runs on coreml in Node/)
  for (const as of ['url', 'info'] as const) expect(devices('coreml', as, 'client')).toEqual(['coreml'])
})
