import { parseArgs } from 'node:util'
import { OnnxError } from '../onnx/errors.ts'
import { fullTable } from '../options/table.ts'
import { kebabCase } from '../params/case.ts'
import { FLAGS, findKey, QUERY, readParams, splitQuery } from '../params/read.ts'
import type { ParamTable } from '../params/spec.ts'
import { type Command, type Invocation, SHORT_FLAGS } from './command.ts'

/** All flags of a command: its own, then the parameters of builds. `as` is for imports: a command always writes files. */
export function flagTable(command: Command): ParamTable {
  if (!command.takesParams) return command.flags
  const { as: _, ...params } = fullTable
  const clash = Object.keys(command.flags).find((key) => Object.hasOwn(params, key))
  if (clash) throw new Error(`--${clash} of '${command.name}' is also a parameter`)
  return { ...command.flags, ...params }
}

/**
 * Reads the arguments after the command's name.
 *
 * @returns undefined if help was asked for
 * @throws OnnxError `OPTION_UNKNOWN`, `OPTION_VALUE` or `USAGE`
 */
export function parseArguments(command: Command, args: readonly string[]): Invocation | undefined {
  const table = flagTable(command)
  const { tokens } = parseArgs({
    args: args.map((arg) => canonical(table, arg)),
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(table).map(([key, { type }]) => [
        kebabCase(key),
        { type: type === 'boolean' ? ('boolean' as const) : ('string' as const) },
      ]),
    ),
  })
  const operands: string[] = []
  const entries = new Map<string, unknown>()
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    if (token.name === 'help') return undefined
    const [name, value] = switched(table, token.name, token.value)
    const earlier = entries.get(name)
    entries.set(name, earlier === undefined || typeof value !== 'string' ? value : [earlier, value].flat())
  }
  const all = readParams(table, entries, FLAGS, { alsoKnown: ['help'] })
  const own = Object.keys(command.flags)
  const flags = Object.fromEntries(own.map((key) => [key, all[key] ?? command.flags[key]!.default]))
  const { min, max, usage } = command.operands
  if (operands.length < min || operands.length > max)
    throw new OnnxError('USAGE', `\`${command.name}\` takes ${usage}, not ${quoteAll(operands)}`, {
      hint: `See unplugin-onnx ${command.name} --help.`,
    })
  return {
    operands,
    flags,
    params: {
      ...(typeof flags['query'] === 'string' ? readParams(fullTable, splitQuery(flags['query']), QUERY) : {}),
      ...Object.fromEntries(Object.entries(all).filter(([key]) => !own.includes(key))),
    },
  }
}

/** `-o` -> `--out`, `--perChannel=x` -> `--per-channel=x`; what is no flag of the table stays as it is. */
function canonical(table: ParamTable, arg: string): string {
  const short = /^-([a-zA-Z])$/.exec(arg)?.[1]
  const long = Object.keys(SHORT_FLAGS).find((flag) => SHORT_FLAGS[flag] === short)
  if (long) return `--${long}`
  const match = /^--(no-)?([^=]+)(=.*)?$/s.exec(arg)
  if (!match) return arg
  const [, no = '', name, value = ''] = match
  const key = findKey(table, name!)
  return key === undefined ? arg : `--${no}${kebabCase(key)}${value}`
}

/** `--no-x` of a boolean flag is `--x=false`; a flag without a value is `true`. */
function switched(table: ParamTable, name: string, value: string | undefined): [string, string | boolean] {
  if (name.startsWith('no-') && findKey(table, name) === undefined) {
    const key = findKey(table, name.slice(3))
    if (key && table[key]!.type === 'boolean' && value === undefined) return [name.slice(3), false]
  }
  return [name, value ?? true]
}

function quoteAll(operands: readonly string[]): string {
  return operands.length ? operands.map((operand) => `'${operand}'`).join(' ') : 'nothing'
}
