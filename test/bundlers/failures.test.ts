import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { BUNDLERS } from './bundle.ts'
import { appFolder, failure, models, output } from './output.ts'

describe.each(BUNDLERS)('%s', (name) => {
  test('a model that is none is one clear error with the import site', async () => {
    const message = await failure(() => output(name, { entry: 'broken.js' }))
    expect(message).toMatch(/Git.LFS/i)
    expect(message).toContain('lfs.onnx')
    expect(message).toContain('broken.js')
  })

  test('types that cannot be written are a warning, and the build goes on', async () => {
    const options = { dts: join(appFolder, 'predict.js/models.d.ts') }
    const said: string[] = []
    const { warn, log, error } = console
    console.warn = console.log = console.error = (...args: unknown[]) => void said.push(args.map(String).join(' '))
    const folder = await output(name, { entry: 'predict.js', options }).finally(() =>
      Object.assign(console, { warn, log, error }),
    )
    expect(models(folder).length).toBeGreaterThan(0)
    // Others have loggers of their own, which are silent here.
    if (name.startsWith('roll')) expect(said.join('\n')).toMatch(/no types are written/)
  })

  test('a mistake in the plugin options is told before any model is built', async () => {
    const options = { targets: { web: { device: 'wsam' } } } as never
    expect(await failure(() => output(name, { entry: 'forms.js', options }))).toMatch(/wsam[\s\S]*wasm/)
  })
})
