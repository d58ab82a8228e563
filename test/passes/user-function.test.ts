import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadFunction } from '../../src/passes/user-function.ts'
import { temporaryFolder } from '../support/temporary.ts'

const WANTED = { code: 'MINE', purpose: 'counts', example: '() => number' }

test.each([
  ['missing.mjs', undefined, /there is no module that counts/],
  ['syntax.mjs', 'export default (', /the module that counts fails/],
  ['throws.mjs', "throw new Error('no luck')", /the module that counts fails: no luck/],
  ['number.mjs', 'export default 3', /the default export of the module that counts is no function/],
  ['nothing.mjs', 'export const count = () => 3', /is no function/],
])('%s is one error that says what to write', async (name, text, message) => {
  const file = join(temporaryFolder(), name)
  if (text !== undefined) writeFileSync(file, text)
  await expect(loadFunction(file, WANTED)).rejects.toMatchObject({
    code: 'MINE',
    message: expect.stringMatching(message),
    place: { file },
    hint: 'Write a module whose default export is () => number.',
  })
})

test.each([
  ['count.mjs', 'export default'],
  ['count.cjs', 'module.exports ='],
])('%s is loaded again when it has changed', async (name, start) => {
  const file = join(temporaryFolder(), name)
  writeFileSync(file, `${start} () => 1`)
  expect((await loadFunction<() => number>(file, WANTED))()).toBe(1)
  writeFileSync(file, `${start} () => 2`)
  const later = new Date(Date.now() + 5000)
  utimesSync(file, later, later)
  expect((await loadFunction<() => number>(file, WANTED))()).toBe(2)
})
