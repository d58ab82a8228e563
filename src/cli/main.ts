import { createRequire } from 'node:module'
import { OnnxError } from '../onnx/errors.ts'
import { nearest } from '../params/nearest.ts'
import { orList } from '../params/value.ts'
import { parseArguments } from './arguments.ts'
import { EXIT, type Io } from './command.ts'
import { commands } from './commands.ts'
import { commandHelp, programHelp } from './help.ts'

/** Errors of the command line itself, not of what it asks for. */
const USAGE_CODES = new Set(['USAGE', 'OPTION_UNKNOWN', 'OPTION_VALUE', 'OPTION_CONFLICT'])

/**
 * Runs the program.
 *
 * @param args the arguments after node and the script
 * @returns the exit code: 0 all well, 1 something failed, 2 the command line is wrong
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(args, io)
  } catch (error) {
    if (!(error instanceof OnnxError)) {
      io.err(`unexpected failure, please report it: ${error instanceof Error ? error.stack : String(error)}`)
      return EXIT.failed
    }
    if (args.includes('--json')) io.out(JSON.stringify({ error }))
    else io.err(error.message)
    return USAGE_CODES.has(error.code) ? EXIT.usage : EXIT.failed
  }
}

async function dispatch([name, ...rest]: readonly string[], io: Io): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const topic = commands.find((command) => command.name === rest[0])
    io.out(topic ? commandHelp(topic) : programHelp(version()))
    return name === undefined ? EXIT.usage : EXIT.ok
  }
  if (name === '--version' || name === '-V') {
    io.out(version())
    return EXIT.ok
  }
  const command = commands.find((candidate) => candidate.name === name)
  if (!command) {
    const names = commands.map((candidate) => candidate.name)
    const near = nearest(name, names)
    throw new OnnxError('USAGE', `there is no command '${name}'`, {
      hint: `${near ? `Did you mean '${near}'? ` : ''}Commands are ${orList(names)}.`,
    })
  }
  const invocation = parseArguments(command, rest)
  if (!invocation) {
    io.out(commandHelp(command))
    return EXIT.ok
  }
  return (await command.load()).run(invocation, io)
}

function version(): string {
  return (createRequire(import.meta.url)('unplugin-onnx/package.json') as { version: string }).version
}
