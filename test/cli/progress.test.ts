import { expect, test } from 'vitest'
import type { Io } from '../../src/cli/command.ts'
import { createProgress } from '../../src/cli/progress.ts'

const io = (isTerminal: boolean): Io => ({ out() {}, err() {}, isTerminal, cwd: '/' })
const state = { file: '/a.onnx', phase: 'read', fraction: 0.5 }

test('bars come and go, and a late word brings none back', async () => {
  const progress = await createProgress(io(true), false)
  progress.update(state)
  progress.update({ ...state, fraction: 1 })
  progress.done('/a.onnx')
  progress.update(state)
  progress.done('/never-seen.onnx')
  progress.stop()
})

test.each([
  ['no terminal', false, false],
  ['silent', true, true],
])('nothing with %s', async (_, isTerminal, silent) => {
  expect(await createProgress(io(isTerminal), silent)).toBe(await createProgress(io(false), true))
})
