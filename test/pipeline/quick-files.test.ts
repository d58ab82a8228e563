import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readFile, remove, rename, stat } from '../../src/pipeline/quick-files.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'quick-files-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('failures are those of promises, with code and path', async () => {
  const missing = join(folder, 'missing')
  for (const use of [() => stat(missing), () => readFile(missing, 'utf8'), () => rename(missing, folder)]) {
    const result = use()
    await expect(result).rejects.toMatchObject({ code: 'ENOENT', path: missing })
  }
})

test('what is not there is removed, and so are folders with all that is in them', async () => {
  mkdirSync(join(folder, 'a/b'), { recursive: true })
  writeFileSync(join(folder, 'a/b/c'), '')
  await remove(join(folder, 'a'), { recursive: true })
  await remove(join(folder, 'nothing'))
  expect(readdirSync(folder)).toEqual([])
})

test('links that lead nowhere are removed too', async () => {
  symlinkSync(join(folder, 'nothing'), join(folder, 'link'), 'junction')
  await remove(join(folder, 'link'))
  expect(readdirSync(folder)).toEqual([])
})
