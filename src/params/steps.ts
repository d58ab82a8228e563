import { OnnxError } from '../onnx/errors.ts'
import { foldCase } from './case.ts'
import { nearest } from './nearest.ts'
import { findKey, readParams } from './read.ts'
import type { Connection, ModelDim, ParamTable, StepTable, StepValue } from './spec.ts'
import { splitOutside, unwrap } from './split.ts'
import type { Spelling } from './value.ts'

/**
 * Reads steps: `resize(256),centerCrop(height:224,width:224)`, the same as objects (`{ step: 'resize', resizeTo: 256 }`), or as other
 * tools write them (`{ Resize: { resize_to: 256 } }`). Names and arguments may be in any case style; an argument without a name is
 * the step's first. Besides its own arguments every step takes `name` and `ioMap`, see {@link StepValue}.
 *
 * @param elsewhere steps of other tools that there are not, and what to do instead
 * @returns the steps with the arguments that were given, in the order of their tables, so that equal steps have equal JSON
 * @throws OnnxError `OPTION_VALUE` or `OPTION_UNKNOWN`
 */
export function parseSteps(
  table: StepTable,
  key: string,
  raw: unknown,
  spelling: Spelling,
  elsewhere: Readonly<Record<string, string>> = {},
): StepValue[] {
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
      const instead = Object.keys(elsewhere).find((one) => foldCase(one) === foldCase(name))
      if (instead)
        throw new OnnxError('OPTION_VALUE', `the step '${name}' of \`${key}\` is no part of a graph here`, {
          hint: elsewhere[instead]!,
        })
      const near = nearest(name, Object.keys(table))
      throw new OnnxError('OPTION_VALUE', `\`${key}\` has no step '${name}'`, {
        hint: near ? `Did you mean '${near}'?` : known(table),
      })
    }
    const { params } = table[step]!
    const [first] = Object.keys(params)
    if (plain !== undefined && first === undefined)
      throw new OnnxError('OPTION_VALUE', `the step '${step}' of \`${key}\` takes no argument`)
    const where = `the step '${step}' of \`${key}\``
    const entries: (readonly [string, unknown])[] = plain === undefined ? given : [[first!, plain], ...given]
    const { wiring, own, open } = sorted(params, entries, where)
    const surface = { ...spelling, noun: 'argument', spell: String, decode: String }
    const values = readParams(params, own, surface, { where, alsoKnown: ['name', 'ioMap'] })
    return { step, ...wiring, ...inOrder(params, { ...values, ...open }) }
  })
}

/** Arguments that all steps have, those that have to wait for the model, and the others. */
function sorted(params: ParamTable, entries: readonly (readonly [string, unknown])[], where: string) {
  const wiring: { name?: string; ioMap?: readonly Connection[] } = {}
  const open: Record<string, unknown> = {}
  const own: (readonly [string, unknown])[] = []
  for (const [argument, written] of entries) {
    const value = unpacked(written)
    const folded = foldCase(argument)
    const key = findKey(params, argument)
    if (key === undefined && folded === 'name') wiring.name = String(value)
    else if (key === undefined && folded === 'iomap') wiring.ioMap = connections(value, where)
    else if (key !== undefined && [value].flat().some(isModelDim)) open[key] = [value].flat()
    else own.push([argument, value])
  }
  return { wiring, own, open }
}

/** Values as other tools write them: `{ type: 'tuple', value: [1, 2] }` is `[1, 2]`, and a dim of the model a {@link ModelDim}. */
function unpacked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unpacked)
  if (typeof value !== 'object' || value === null) return value
  const { type, ...rest } = value as Record<string, unknown>
  if ((type === 'tuple' || type === 'list') && 'value' in rest) return unpacked(rest['value'])
  const [, side] = /^__model_(input|output)__$/.exec(String(type)) ?? []
  if (!side) return value
  const index = rest[`${side}_index`]
  return { of: side, index: Number(index ?? 0), dim: Number(rest['dim_index'] ?? 0) }
}

/** True for an argument that stands for the size of a dim of the model. */
export function isModelDim(value: unknown): value is ModelDim {
  return typeof value === 'object' && value !== null && 'of' in value && 'dim' in value
}

/** `[['pixelsToYCbCr', 1, 0]]`, or as text `pixelsToYCbCr:1:0`. */
function connections(value: unknown, where: string): Connection[] {
  const list = typeof value === 'string' ? splitOutside(value, ',') : Array.isArray(value) ? value : [value]
  return list.map((entry) => {
    const [from, output, input] =
      typeof entry === 'string' ? entry.trim().split(':') : Array.isArray(entry) ? entry : []
    const found = [typeof from === 'string' ? from : '', Number(output), Number(input)] as const
    if (found[0] && found.slice(1).every((index) => Number.isInteger(index) && (index as number) >= 0)) return found
    throw new OnnxError('OPTION_VALUE', `'${JSON.stringify(entry)}' is no entry of \`ioMap\` (in ${where})`, {
      hint: "An entry is a step, one of its outputs, and the input that takes it: ['pixelsToYCbCr', 1, 0], or pixelsToYCbCr:1:0.",
    })
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
      const { params, ...args } = entry[1] as Record<string, unknown>
      return { name: entry[0], given: Object.entries({ ...args, ...(params as Record<string, unknown> | undefined) }) }
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
