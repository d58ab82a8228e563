import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import type { Model } from '../../../graph/model.ts'
import type { Value } from '../../../graph/value.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import { nearest } from '../../../params/nearest.ts'
import { locate } from '../calibrate/data/files.ts'
import type { Range } from '../calibrate/methods/types.ts'
import { decodeTable } from '../calibrate/tables/index.ts'
import { nameOf } from '../select.ts'
import type { Conversion, TensorOverride, TensorOverrides } from './settings.ts'

const TYPES = ['int8', 'uint8', 'int16', 'uint16', 'int4', 'uint4']

type Check = (value: unknown) => boolean
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value)
const isNumbers: Check = (value) =>
  isNumber(value) || (Array.isArray(value) && value.length > 0 && value.every(isNumber))
const isBoolean: Check = (value) => typeof value === 'boolean'

const KEYS: Readonly<Record<keyof TensorOverride, readonly [check: Check, expected: string]>> = {
  type: [(value) => TYPES.includes(value as string), `one of ${TYPES.join(', ')}`],
  scale: [isNumbers, 'a number or a list of numbers'],
  zeroPoint: [isNumbers, 'a number or a list of numbers'],
  symmetric: [isBoolean, 'true or false'],
  reduceRange: [isBoolean, 'true or false'],
  min: [isNumber, 'a number'],
  max: [isNumber, 'a number'],
  axis: [Number.isInteger, 'an integer'],
  float: [isBoolean, 'true or false'],
  convert: [(value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'an object'],
}

const CONVERT_KEYS: Readonly<Record<keyof Conversion, readonly [check: Check, expected: string]>> = {
  type: KEYS.type,
  scale: KEYS.scale,
  zeroPoint: KEYS.zeroPoint,
  symmetric: KEYS.symmetric,
  min: KEYS.min,
  max: KEYS.max,
  readers: [
    (value) => Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string'),
    'a list of names of nodes',
  ],
}

/**
 * Reads settings by tensor. All of them are checked before anything is done.
 *
 * @throws OnnxError `OVERRIDES_INVALID` naming tensor and key
 */
export function readOverrides(path: string, model: Model): TensorOverrides {
  const file = locate(path, model.file ?? '.')
  const names = valuesByName(model)
  const invalid = (what: string, hint?: string): OnnxError =>
    new OnnxError('OVERRIDES_INVALID', what, { place: { file }, ...(hint ? { hint } : {}) })
  const overrides = new Map<string, TensorOverride>()
  for (const [name, override] of Object.entries(readObject(file, invalid))) {
    const value = names.get(name)
    if (!value) {
      const near = nearest(name, [...names.keys()])
      throw invalid(`the model has no tensor "${name}"`, near && `Did you mean "${near}"?`)
    }
    if (typeof override !== 'object' || override === null || Array.isArray(override))
      throw invalid(`the settings of "${name}" are no object`)
    checkKeys(name, override, KEYS, invalid)
    const given = override as TensorOverride
    const exact = given.scale !== undefined
    if (exact !== (given.zeroPoint !== undefined)) throw invalid(`"${name}" must have both scale and zeroPoint`)
    if (given.convert) checkConversion(name, given.convert, value, invalid)
    const others = (['symmetric', 'reduceRange', 'min', 'max'] as const).filter((key) => given[key] !== undefined)
    if (exact && others.length) throw invalid(`"${name}" has a scale: ${others.join(', ')} can't be followed`)
    if (!value.constant && (given.axis !== undefined || given.reduceRange !== undefined))
      throw invalid(`"${name}" is no constant: axis and reduceRange are for constants`)
    if (given.axis !== undefined && (given.axis >= (value.rank ?? 0) || given.axis < -(value.rank ?? 0)))
      throw invalid(`"${name}" has no axis ${given.axis}`)
    overrides.set(name, given)
  }
  return overrides
}

type Invalid = (what: string, hint?: string) => OnnxError

function checkKeys(
  name: string,
  settings: object,
  known: Readonly<Record<string, readonly [check: Check, expected: string]>>,
  invalid: Invalid,
): void {
  for (const [key, setting] of Object.entries(settings)) {
    const [check, expected] = Object.hasOwn(known, key) ? known[key]! : []
    if (!check)
      throw invalid(`"${name}" has the unknown setting "${key}"`, `Known are ${Object.keys(known).join(', ')}.`)
    if (!check(setting)) throw invalid(`"${key}" of "${name}" must be ${expected}`)
  }
}

function checkConversion(name: string, convert: Conversion, value: Value, invalid: Invalid): void {
  checkKeys(`${name}: convert`, convert, CONVERT_KEYS, invalid)
  if (value.constant) throw invalid(`"${name}" is a constant: convert is for activations`)
  if (convert.type === undefined) throw invalid(`convert of "${name}" must have a type`)
  if ((convert.scale === undefined) !== (convert.zeroPoint === undefined))
    throw invalid(`convert of "${name}" must have both scale and zeroPoint`)
  const readers = value.users.map(nameOf)
  const stranger = convert.readers?.find((reader) => !readers.includes(reader))
  if (stranger !== undefined)
    throw invalid(`"${stranger}" does not read "${name}"`, `Its readers are ${readers.join(', ') || 'none'}.`)
}

const RANGES_HINT = '`unplugin-onnx calibrate` writes such files: { "tensor": { "min": -1, "max": 1 } }.'

/**
 * Reads ranges by tensor: `{ "tensor": { "min": -1, "max": 1 } }`, the calibration cache of ONNX Runtime's tools, or a table for
 * TensorRT (`.cache`, `.flatbuffers`). Tensors that the model does not have are passed over.
 *
 * @throws OnnxError `RANGES_INVALID`
 */
export function readRanges(path: string, model: Model): Map<Value, Range> {
  const file = locate(path, model.file ?? '.')
  const invalid = (what: string, hint = RANGES_HINT): OnnxError =>
    new OnnxError('RANGES_INVALID', what, { place: { file }, hint })
  const object = readTable(file, invalid) ?? readObject(file, invalid)
  const entries = (object['ranges'] ?? object['data'] ?? object) as Record<string, unknown>
  const names = valuesByName(model)
  const ranges = new Map<Value, Range>()
  for (const [name, entry] of Object.entries(entries)) {
    const value = names.get(name)
    if (!value) continue
    const { min, max, lowest, highest } = (entry ?? {}) as Record<string, unknown>
    const range = Array.isArray(entry) ? entry : [numberOf(min ?? lowest), numberOf(max ?? highest)]
    if (range.length !== 2 || !range.every(isNumber) || range[0] > range[1])
      throw invalid(`"${name}" has no range: expected numbers min and max`)
    ranges.set(value, { min: range[0] as number, max: range[1] as number })
  }
  if (!ranges.size) {
    const [own, theirs] = [
      Object.keys(entries),
      [...names].flatMap(([name, value]) => (value.constant ? [] : name)),
    ].map((list) => list.slice(0, 3).join(', '))
    throw invalid(
      'none of its tensors is in the model',
      `The file has ${own || 'none'}; the model ${theirs}. Ranges are of the model as it is quantized: fusions rename tensors.`,
    )
  }
  return ranges
}

/** A number, or the only element of an array as the Python tools write it. */
function numberOf(value: unknown): unknown {
  const data: unknown = (value as { data?: unknown } | null | undefined)?.data ?? value
  return Array.isArray(data) ? data.flat(Number.POSITIVE_INFINITY)[0] : data
}

function readTable(file: string, invalid: (what: string) => OnnxError): Record<string, unknown> | undefined {
  const format = extname(file).slice(1)
  if (format !== 'cache' && format !== 'flatbuffers') return undefined
  try {
    return decodeTable(format, readFileSync(file))
  } catch (error) {
    throw invalid(`this is no table for TensorRT: ${(error as Error).message}`)
  }
}

function readObject(file: string, invalid: (what: string) => OnnxError): Record<string, unknown> {
  let object: unknown
  try {
    object = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw invalid(`the file is no JSON: ${(error as Error).message}`)
  }
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw invalid('the file is no JSON object by tensor')
  return object as Record<string, unknown>
}

function valuesByName(model: Model): Map<string, Value> {
  const names = new Map<string, Value>()
  for (const graph of model.allGraphs()) {
    for (const value of [...graph.inputs, ...graph.initializers]) names.set(value.name, value)
    for (const node of graph.nodes()) for (const value of node.outputs) if (value) names.set(value.name, value)
  }
  return names
}
