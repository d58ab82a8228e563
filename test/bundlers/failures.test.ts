import { describe, expect, test } from 'vitest'
import { BUNDLERS } from './bundle.ts'
import { failure, output } from './output.ts'

describe.each(BUNDLERS)('%s', (name) => {
  test('a model that is none is one clear error with the import site', async () => {
    const message = await failure(() => output(name, { entry: 'broken.js' }))
    expect(message).toMatch(/Git.LFS/i)
    expect(message).toContain('lfs.onnx')
    expect(message).toContain('broken.js')
  })

  test('a mistake in the plugin options is told before any model is built', async () => {
    const options = { targets: { web: { device: 'wsam' } } } as never
    expect(await failure(() => output(name, { entry: 'forms.js', options }))).toMatch(/wsam[\s\S]*wasm/)
  })
})
