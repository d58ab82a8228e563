import pc from 'picocolors'
import { fullTable } from '../options/table.ts'
import { kebabCase } from '../params/case.ts'
import type { ParamSpec, ParamTable } from '../params/spec.ts'
import { type Command, SHORT_FLAGS } from './command.ts'
import { commands } from './commands.ts'

/** Help of the program: its commands. */
export function programHelp(version: string): string {
  const width = Math.max(...commands.map(({ name, operands }) => name.length + operands.usage.length + 1))
  return [
    `${pc.bold('unplugin-onnx')} ${version}: optimize, quantize and inspect ONNX models`,
    '',
    heading('Usage'),
    '  unplugin-onnx <command> [options]',
    '',
    heading('Commands'),
    ...commands.map(({ name, operands, summary }) => `  ${`${name} ${operands.usage}`.padEnd(width)}  ${summary}`),
    '',
    'Flags of a command: unplugin-onnx <command> --help',
  ].join('\n')
}

/** Help of one command, its flags with values, ranges and defaults. */
export function commandHelp(command: Command): string {
  const { as: _, ...params } = fullTable
  return [
    `${pc.bold(`unplugin-onnx ${command.name}`)}: ${command.summary}`,
    '',
    heading('Usage'),
    `  unplugin-onnx ${command.name} ${command.operands.usage} [options]`,
    '',
    heading('Options'),
    ...flagLines({ ...command.flags, help: { type: 'boolean', doc: 'Show this' } }),
    ...(command.takesParams ? ['', heading('What to build'), ...flagLines(params)] : []),
    '',
    heading('Examples'),
    ...command.examples.map((example) => `  unplugin-onnx ${example}`),
  ].join('\n')
}

/** How the value of a parameter is written in help: `<dynamic|static>`, `<0..1>`, `<glob,...>`. */
export function valueShape(spec: ParamSpec): string {
  switch (spec.type) {
    case 'boolean':
      return ''
    case 'enum':
      return `<${spec.values?.join('|')}>`
    case 'number':
    case 'integer':
      return spec.min === undefined && spec.max === undefined ? '<n>' : `<${spec.min ?? ''}..${spec.max ?? ''}>`
    case 'list':
      return `<${spec.placeholder ?? 'item'},...>`
    case 'map':
      return `<${spec.placeholder ?? 'name:value'},...>`
    case 'numbers':
      return `<${spec.placeholder ?? 'n,...'}>`
    case 'steps':
      return `<${spec.placeholder ?? 'step(...),...'}>`
    case 'string':
      return `<${spec.placeholder ?? 'text'}>`
  }
}

/** `--per-channel`, or `--[no-]per-channel` for a switch that is on by default. */
export function flagName(key: string, spec: ParamSpec): string {
  return `--${spec.type === 'boolean' && spec.default === true ? '[no-]' : ''}${kebabCase(key)}`
}

function flagLines(table: ParamTable): string[] {
  const rows = Object.entries(table).map(([key, spec]) => {
    const short = SHORT_FLAGS[key] ? `-${SHORT_FLAGS[key]}, ` : '    '
    return [`  ${short}${flagName(key, spec)} ${valueShape(spec)}`.trimEnd(), spec] as const
  })
  // Long value lists would push every description off the screen: those go on a line of their own.
  const width = Math.max(...rows.map(([flag]) => (flag.length <= 40 ? flag.length : 0)))
  return rows.flatMap(([flag, spec]) => {
    const doc = `${spec.doc}${spec.default === undefined ? '' : pc.dim(` (default ${spec.default})`)}`
    return flag.length <= width ? [`${flag.padEnd(width)}  ${doc}`] : [flag, `${''.padEnd(width)}  ${doc}`]
  })
}

function heading(text: string): string {
  return pc.bold(text)
}
