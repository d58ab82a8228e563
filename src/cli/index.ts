#!/usr/bin/env node
import { startEarly } from '../pipeline/workers/early.ts'

if (process.argv[2] === 'build') startEarly()
const { main } = await import('./main.ts')

// `unplugin-onnx inspect m.onnx | head`: a reader that has seen enough is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  throw error
})

process.exitCode = await main(process.argv.slice(2), {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  isTerminal: process.stderr.isTTY === true && process.env['CI'] === undefined,
  cwd: process.cwd(),
})
