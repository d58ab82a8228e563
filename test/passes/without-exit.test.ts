import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { openData } from '../../src/passes/quantize/calibrate/data/index.ts'
import { loadFunction } from '../../src/passes/user-function.ts'
import { withoutExit } from '../../src/passes/without-exit.ts'
import { buildModel } from '../support/models.ts'
import { temporaryFolder } from '../support/temporary.ts'

const { exit } = process
afterEach(() => expect(process.exit).toBe(exit))

test('what exits fails, also if it catches that; two at once', async () => {
  const message = 'it calls process.exit(0), which would end the whole build'
  const results = await Promise.allSettled([
    withoutExit(async () => {
      await null
      process.exit(0)
    }),
    withoutExit(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5))
      return 1
    }),
  ])
  // Whose call it was can't be told.
  expect(results.map((result) => result.status === 'rejected' && result.reason.message)).toEqual([message, message])
  await expect(
    withoutExit(() => {
      try {
        process.exit(0)
      } catch {
        return 1
      }
    }),
  ).rejects.toThrow(message)
  await expect(withoutExit(() => 2)).resolves.toBe(2)
})

test('a module that exits when it is loaded', async () => {
  const file = join(temporaryFolder(), 'm.mjs')
  writeFileSync(file, 'process.exit()')
  await expect(loadFunction(file, { code: 'MINE', purpose: 'counts', example: '' })).rejects.toMatchObject({
    code: 'MINE',
    what: 'the module that counts fails: it calls process.exit(), which would end the whole build',
  })
})

test.each([
  ['process.exit(0)', "can't be used"],
  ['export default () => process.exit(0)', "can't be used"],
  ['export default function* () { process.exit(0) }', 'failed at sample 0'],
])('calibration data: %s', async (code, message) => {
  const file = join(temporaryFolder(), 'm.mjs')
  writeFileSync(file, code)
  const model = buildModel(17, (graph, input) => [graph.insert({ op: 'Relu', inputs: [input('x', [2])] }).output()])
  const data = openData(model, { calibration: file })
  await expect(data.open()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    name: 'OnnxError',
    what: `the calibration module ${message}: it calls process.exit(0), which would end the whole build`,
    place: { file },
  })
})
