import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { load, models, output, scratch } from './output.ts'

describe.each(['webpack', 'rspack'] as const)('%s with a warm persistent cache', (name) => {
  const cache = join(scratch, `${name}-persistent`)
  const dir = join(scratch, `${name}-models`)
  const build = (options: object = {}) =>
    output(name, { entry: 'forms.js', cache, options: { cache: { dir }, ...options } })

  test('emits the asset again', async () => {
    rmSync(cache, { recursive: true, force: true })
    rmSync(dir, { recursive: true, force: true })
    const cold = models(await build())
    expect(cold).toHaveLength(1)
    expect(existsSync(cache)).toBe(true)
    const folder = await build()
    expect(models(folder)).toEqual(cold)
    const { url } = await load<{ url: string }>(folder)
    expect(existsSync(fileURLToPath(url))).toBe(true)
  })

  test('builds the model again when our own cache is gone', async () => {
    rmSync(dir, { recursive: true, force: true })
    expect(models(await build())).toHaveLength(1)
  })

  test('does not take modules that were made with other options', async () => {
    const before = models(await build())
    const folder = await build({ quantize: 'dynamic' })
    expect(models(folder)).toHaveLength(1)
    expect(models(folder)).not.toEqual(before)
    expect(readFileSync(join(folder, models(folder)[0]!)).length).toBeLessThan(119_492)
  })
})
