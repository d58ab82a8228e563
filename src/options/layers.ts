import { OnnxError } from '../onnx/errors.ts'
import { nearest } from '../params/nearest.ts'
import { OPTIONS, readParams, type Surface } from '../params/read.ts'
import type { ParamTable } from '../params/spec.ts'
import { orList } from '../params/value.ts'
import { DTYPES_BY_NAME } from './dtypes.ts'
import { levelParams } from './levels.ts'
import { BUILT_IN_PRESETS, type Bundle, builtInPreset } from './presets.ts'
import { targetTable } from './table.ts'

/** Parameters by camelCase key; a key that is there with `undefined` takes back what a lower layer set. */
export type Layer = Readonly<Record<string, unknown>>

/**
 * One layer of options as the user wrote it -> its parameters, with `preset` and `dtype` spelled out. Within a layer
 * presets give way to the dtype, and both to what the user set by name.
 */
export function expandLayer(
  input: Iterable<readonly [string, unknown]>,
  from: {
    table: ParamTable
    presets: Readonly<Record<string, object>>
    surface?: Surface | undefined
    where?: string | undefined
    /** Other keys that are legal beside the table's: suggested for a misspelt one. */
    alsoKnown?: readonly string[] | undefined
  },
): Layer {
  const own = readParams(from.table, spread(input), from.surface ?? OPTIONS, from)
  const names = (own['preset'] as readonly string[] | undefined) ?? []
  const presets = names.map((name) => presetParams(name, from.presets))
  checkDtype(own)
  return Object.assign({}, ...presets, dtypeParams(own['dtype']), own, levelParams(own))
}

/** `verify: { cosine: 0.99 }` is `verify: true, verifyCosine: 0.99`. */
export function* spread(input: Iterable<readonly [string, unknown]>): Generator<readonly [string, unknown]> {
  for (const [key, value] of input) {
    if (key !== 'verify' || typeof value !== 'object' || value === null || Array.isArray(value)) {
      yield [key, value]
      continue
    }
    yield [key, true]
    for (const [name, setting] of Object.entries(value))
      yield [`verify${name.charAt(0).toUpperCase()}${name.slice(1)}`, setting]
  }
}

/** Of one layer a dtype and a kind of quantization that makes something else of weights cannot both be meant. */
function checkDtype(own: Layer): void {
  const [dtype, quantize] = [own['dtype'], own['quantize']]
  const meant = typeof dtype === 'string' ? DTYPES_BY_NAME[dtype]?.params['quantize'] : undefined
  if (meant === undefined || quantize === undefined || quantize === meant) return
  // 8 bits can be found in other ways.
  if (meant === 'dynamic' && (quantize === 'static' || quantize === 'auto')) return
  throw new OnnxError(
    'OPTION_CONFLICT',
    `dtype=${String(dtype)} and quantize=${String(quantize)} contradict each other`,
    {
      hint: `dtype=${String(dtype)} stands for quantize=${String(meant)}. Leave one of them out.`,
    },
  )
}

/** The parameters that a dtype stands for. */
function dtypeParams(dtype: unknown): Layer {
  return typeof dtype === 'string' ? registered(`dtype '${dtype}'`, DTYPES_BY_NAME[dtype]!.params) : {}
}

function presetParams(name: string, presets: Readonly<Record<string, object>>): Layer {
  if (Object.hasOwn(presets, name)) {
    const entries = Object.entries(presets[name]!)
    if (entries.some(([key]) => key === 'preset'))
      throw new OnnxError('PRESET_NESTED', `preset '${name}' uses \`preset\`: presets cannot be nested`)
    const own = readParams(targetTable, spread(entries), OPTIONS, { where: `presets['${name}']` })
    return { ...dtypeParams(own['dtype']), ...own, ...levelParams(own) }
  }
  const builtIn = builtInPreset(name)
  if (builtIn) return registered(`preset '${name}'`, builtIn)
  const names = [...Object.keys(presets), ...BUILT_IN_PRESETS]
  const near = nearest(name, names)
  throw new OnnxError('PRESET_UNKNOWN', `there is no preset '${name}'`, {
    hint: `${near ? `Did you mean '${near}'? ` : ''}Presets are ${orList(names)}.`,
  })
}

/** Whether this version has the passes that a dtype stands for. */
export function isAvailable(dtype: string): boolean {
  const bundle = DTYPES_BY_NAME[dtype]?.params
  return bundle !== undefined && unavailable(bundle).length === 0
}

/** The bundle, after a check that some pass has each of the parameters it sets. */
function registered(what: string, bundle: Bundle): Layer {
  const missing = unavailable(bundle)
  if (missing.length > 0)
    throw new OnnxError('OPTION_UNAVAILABLE', `${what} is not available in this version`, {
      hint: `No pass offers ${missing.join(', ')}.`,
    })
  return Object.fromEntries(Object.entries(bundle).filter(([key]) => Object.hasOwn(targetTable, key)))
}

/** What a bundle sets that no pass has: unknown parameters, and unknown values of known ones. */
function unavailable(bundle: Bundle): string[] {
  return Object.entries(bundle).flatMap(([key, value]) => {
    if (value === undefined) return []
    const spec = Object.hasOwn(targetTable, key) ? targetTable[key] : undefined
    if (!spec) return [key]
    return typeof value === 'string' && spec.values && !spec.values.includes(value) ? [`${key}=${value}`] : []
  })
}
