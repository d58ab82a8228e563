import { OnnxError } from '../onnx/errors.ts'
import { nearest } from './nearest.ts'
import { findKey, readParams } from './read.ts'
import type { ParamTable, StepTable, StepValue } from './spec.ts'
import { splitOutside, unwrap } from './split.ts'
import type { Spelling } from './value.ts'

/**
 * Reads steps: `resize(256),centerCrop(height:224,width:224)`, the same as objects (`{ step: 'resize', resizeTo: 256 }`), or as other
 * tools write them (`{ Resize: { resize_to: 256 } }`). Names and arguments may be in any case style; an argument without a name is
 * the step's first.
 *
 * @returns the steps with the arguments that were given, in the order of their tables, so that equal steps have equal JSON
 * @throws OnnxError `OPTION_VALUE` or `OPTION_UNKNOWN`
 */
export function parseSteps(table: StepTable, key: string, raw: unknown, spelling: Spelling): StepValue[] {
  const steps = [raw].flat(3).flatMap((part) =>
    typeof part === 'string'
      ? splitOutside(part, ',')
          .filter((text) => text.trim() !== '')
          .map((text) => fromText(spelling.decode(text)))
      : [fromObject(key, part)],
  )
  if (!steps.length) throw new OnnxError('OPTION_VALUE', `\`${key}\` needs a value`, { hint: known(table) })
  return steps.map(({ name, given, plain }) => {
    const step = Object.hasOwn(table, name) ? name : findStep(table, name)
    if (step === undefined) {
      const near = nearest(name, Object.keys(table))
      throw new OnnxError('OPTION_VALUE', `\`${key}\` has no step '${name}'`, {
        hint: near ? `Did you mean '${near}'?` : known(table),
      })
    }
    const { params } = table[step]!
    const [first] = Object.keys(params)
    if (plain !== undefined && first === undefined)
      throw new OnnxError('OPTION_VALUE', `the step '${step}' of \`${key}\` takes no argument`)
    const entries = plain === undefined ? given : [[first!, plain] as const, ...given]
    const values = readParams(
      params,
      entries,
      { ...spelling, noun: 'argument', spell: String, decode: String },
      { where: `the step '${step}' of \`${key}\`` },
    )
    return { step, ...inOrder(params, values) }
  })
}

interface Written {
  name: string
  given: [string, unknown][]
  /** The argument without a name. */
  plain?: unknown
}

function fromText(text: string): Written {
  const [, name = text.trim(), inner] = /^\s*([\w-]+)\s*\((.*)\)\s*$/s.exec(text) ?? []
  const given: [string, unknown][] = []
  let plain: unknown
  for (const part of splitOutside(inner ?? '', ',')) {
    const [, argument, value] = /^\s*([A-Za-z][\w-]*)\s*[:=](.*)$/s.exec(part) ?? []
    if (argument !== undefined) given.push([argument, value!.trim().startsWith('[') ? unwrap(value!) : value!.trim()])
    else if (part.trim() !== '') plain = plain === undefined ? unwrap(part) : `${plain},${unwrap(part)}`
  }
  return { name, given, ...(plain === undefined ? {} : { plain }) }
}

function fromObject(key: string, value: unknown): Written {
  if (typeof value === 'object' && value !== null) {
    const { step, ...rest } = value as Record<string, unknown>
    if (typeof step === 'string') return { name: step, given: Object.entries(rest) }
    const [entry, ...others] = Object.entries(rest)
    if (entry && !others.length && typeof entry[1] === 'object' && entry[1] !== null) {
      const { io_map, params, ...args } = entry[1] as Record<string, unknown>
      if (io_map !== undefined)
        throw new OnnxError('OPTION_VALUE', `\`io_map\` of the step '${entry[0]}' is not supported`, {
          hint: 'Steps know what they take from those before them: leave it out.',
        })
      return { name: entry[0], given: Object.entries((params as Record<string, unknown> | undefined) ?? args) }
    }
  }
  throw new OnnxError('OPTION_VALUE', `\`${key}\` takes steps, not ${JSON.stringify(value)}`, {
    hint: "Write them as text, e.g. 'resize(256)', or as objects, e.g. { step: 'resize', resizeTo: 256 }.",
  })
}

/** In any case style; tables of steps are looked up like those of parameters. */
function findStep(table: StepTable, name: string): string | undefined {
  return findKey(table as unknown as ParamTable, name)
}

function inOrder(params: ParamTable, values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.keys(params).flatMap((key) => (key in values ? [[key, values[key]]] : [])))
}

function known(table: StepTable): string {
  return `Steps are ${Object.keys(table).join(', ')}.`
}
