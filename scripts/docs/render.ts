import { commands } from '../../src/cli/commands.ts'
import { flagName, valueShape } from '../../src/cli/help.ts'
import { DTYPES_BY_NAME } from '../../src/options/dtypes.ts'
import { choiceParams, generalParams, shapeParams } from '../../src/options/general.ts'
import { isAvailable } from '../../src/options/layers.ts'
import { ACCELERATOR_PRESETS, type Bundle, CPU_PRESETS, FLOAT_PRESETS } from '../../src/options/presets.ts'
import { SETTING_DOCS } from '../../src/options/settings.ts'
import { BUILT_IN_TARGETS } from '../../src/options/targets.ts'
import { snakeCase } from '../../src/params/case.ts'
import type { ParamSpec, ParamTable } from '../../src/params/spec.ts'
import { allPasses } from '../../src/passes/index.ts'
import { stepTable } from '../../src/passes/processing/table.ts'

/** The parts of the README that come from the tables of the source, by the name in their markers. */
export const sections: Readonly<Record<string, () => string>> = {
  settings: () =>
    table(
      ['option', 'type', 'meaning'],
      Object.entries(SETTING_DOCS).map(([key, { type, doc }]) => [`\`${key}\``, type, doc]),
    ),
  general: () => paramTable({ ...shapeParams, ...choiceParams, ...generalParams }),
  passes: () => {
    const seen = new Set<string>()
    return allPasses
      .map((pass) => {
        // A parameter that several passes share is shown with the first.
        const own = Object.fromEntries(Object.entries(pass.params).filter(([key]) => !seen.has(key)))
        for (const key of Object.keys(own)) seen.add(key)
        const promise = pass.lossless ? ' Lossless.' : ''
        const rows = Object.keys(own).length ? `\n\n${paramTable(own)}` : ''
        return `#### ${pass.name}\n\n${sentence(pass.doc)}${promise}${rows}`
      })
      .join('\n\n')
  },
  steps: () =>
    table(
      ['step', 'arguments', 'what it does'],
      Object.entries(stepTable).map(([name, { doc, params }]) => [
        `\`${name}\``,
        Object.entries(params)
          .map(([key, spec]) => `\`${key}\`${spec.default === undefined ? '' : ` (${rounded(spec.default)})`}`)
          .join(', '),
        doc,
      ]),
    ),
  dtypes: () =>
    table(
      ['dtype', 'file suffix', 'stands for'],
      Object.entries(DTYPES_BY_NAME)
        .filter(([name]) => isAvailable(name))
        .map(([name, { params, suffix }]) => [
          `\`${name}\``,
          suffix ? `\`${suffix}\`` : '',
          bundleText(params) || 'no change of precision',
        ]),
    ),
  presets: () =>
    table(
      ['preset', 'stands for'],
      [
        ...Object.entries({ ...CPU_PRESETS, ...ACCELERATOR_PRESETS, ...FLOAT_PRESETS }).map(([name, bundle]) => [
          `\`${name}\``,
          bundleText(bundle),
        ]),
        ['`auto`', 'the one of these that fits the CPU of the machine that builds'],
      ],
    ),
  targets: () =>
    table(
      ['target', 'device'],
      Object.entries(BUILT_IN_TARGETS).map(([name, { device }]) => [`\`${name}\``, `\`${device}\``]),
    ),
  commands: () =>
    commands
      .map(({ name, operands, summary, flags, takesParams, examples }) =>
        [
          `#### \`unplugin-onnx ${name} ${operands.usage}\``,
          '',
          `${sentence(summary)}${takesParams ? ' Every build option below is a flag too (`per_channel` is `--per-channel`).' : ''}`,
          '',
          table(
            ['flag', 'meaning'],
            Object.entries(flags).map(([key, spec]) => [
              `\`${`${flagName(key, spec)} ${valueShape(spec)}`.trim()}\``,
              withDefault(spec),
            ]),
          ),
          '',
          '```sh',
          ...examples.map((example) => `npx unplugin-onnx ${example}`),
          '```',
        ].join('\n'),
      )
      .join('\n\n'),
}

/**
 * The text with each generated part in place: what stands between `<!-- generated:NAME -->` and `<!-- /generated -->`.
 *
 * @throws Error for a marker without a part, and a part without a marker
 */
export function render(text: string): string {
  const used = new Set<string>()
  const result = text.replace(
    /(<!-- generated:(\w+) -->\n)[\s\S]*?(<!-- \/generated -->)/g,
    (_, open: string, name: string, close: string) => {
      const section = sections[name]
      if (!section) throw new Error(`there is no generated part '${name}'`)
      used.add(name)
      return `${open}${section()}\n${close}`
    },
  )
  const missing = Object.keys(sections).filter((name) => !used.has(name))
  if (missing.length) throw new Error(`the text has no place for ${missing.join(', ')}`)
  return result
}

function paramTable(params: ParamTable): string {
  return table(
    ['option', 'query', 'values', 'default', 'meaning'],
    Object.entries(params).map(([key, spec]) => [
      `\`${key}\``,
      `\`${snakeCase(key)}\``,
      valuesText(spec),
      spec.default === undefined ? '' : `\`${spec.default}\``,
      spec.doc,
    ]),
  )
}

function valuesText(spec: ParamSpec): string {
  if (spec.type === 'enum') return (spec.values ?? []).map((value) => `\`${value}\``).join(' ')
  if (spec.type === 'boolean') return 'boolean'
  return `\`${valueShape(spec).slice(1, -1)}\``
}

function rounded(value: string | number | boolean): string {
  return typeof value === 'number' ? String(Math.round(value * 1e5) / 1e5) : String(value)
}

function withDefault({ doc, default: value }: ParamSpec): string {
  return value === undefined ? doc : `${doc} (default \`${value}\`)`
}

function bundleText(bundle: Bundle): string {
  return Object.entries(bundle)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `\`${snakeCase(key)}=${value}\``)
    .join(' ')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n')
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`
}
