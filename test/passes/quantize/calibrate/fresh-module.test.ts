import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { freshIterator } from '../../../../src/passes/quantize/calibrate/data/fresh-module.ts'
import { temporaryFolder } from '../../../support/temporary.ts'

function iteratorOf(code: string): Promise<AsyncIterator<unknown>> {
  const file = join(temporaryFolder(), 'm.mjs')
  writeFileSync(file, code)
  return freshIterator(pathToFileURL(file).href)
}

test('samples in order, until there are no more', async () => {
  const iterator = await iteratorOf('export default [{ x: 1 }, { x: 2 }]')
  expect(await iterator.next()).toEqual({ done: false, value: { x: 1 } })
  expect(await iterator.next()).toEqual({ done: false, value: { x: 2 } })
  expect(await iterator.next()).toEqual({ done: true, value: undefined })
})

test.each([
  ['setImmediate(() => { throw new Error("too late") })', 'too late'],
  ['setImmediate(() => process.exit(3))', 'it calls process.exit(3)'],
])('what fails between two samples fails the next one: %s', async (code, message) => {
  const iterator = await iteratorOf(
    `export default function* () { yield { x: 1 }; ${code}; while (true) yield { x: 2 } }`,
  )
  await iterator.next()
  const all = async () => {
    while (!(await iterator.next()).done);
  }
  await expect(all()).rejects.toThrow(message)
  await expect(iterator.next()).rejects.toThrow(message)
})
