#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { startEarly } from '../pipeline/workers/early.ts'
import { loadProgram } from '../programs/load.ts'

// A build is over before the code that V8 would like to optimize has run often enough to repay it. V8 counts differently from Node 22 on,
// and complains about flags that it does not know, so later ones are left as they are.
const v8 = Number.parseInt(process.versions.v8, 10)
if (v8 < 12) setFlagsFromString('--interrupt-budget=1000000')
else if (v8 < 14)
  for (const flag of ['maglev=4000', 'turbofan=45000']) setFlagsFromString(`--invocation-count-for-${flag}`)
// Young objects are few beside the weights: the space for them need not grow to many megabytes.
setFlagsFromString('--semi-space-growth-factor=1')
if (process.argv[2] === 'build' && process.stderr.isTTY) startEarly()

// `unplugin-onnx inspect m.onnx | head`: a reader that has seen enough is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    isDone = true
    process.exit()
  }
  throw error
})

// Node ends when nothing is left to wait for, or when code of the user's says so: never as if all were well.
let isDone = false
process.on('exit', () => {
  if (isDone) return
  process.stderr.write(
    'the program ended before its work was done: a module it runs calls process.exit, or never resolves\n',
  )
  process.exitCode = 1
})

const { exports, keep } = loadProgram<typeof import('./main.ts')>('main.cjs')
const args = process.argv.slice(2)
void exports
  .main(args, {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    isTerminal: process.stderr.isTTY === true && process.env['CI'] === undefined,
    cwd: process.cwd(),
  })
  .then((code) => {
    isDone = true
    process.exitCode = code
    if (code === 0) keep([args[0] ?? ''])
    // Nothing is left to do but to take everything apart, which ends with the process anyway; what was printed goes out first.
    process.stderr.write('', () => process.stdout.write('', () => process.exit()))
  })
