import { realpathSync, statSync } from 'node:fs'
import { dirname, isAbsolute, resolve, sep } from 'node:path'
import { FileBytes } from './bytes.ts'
import { OnnxError } from './errors.ts'
import type { EntryProto } from './proto.ts'

/** The entries of a tensor's `external_data`. */
export interface ExternalReference {
  location: string
  offset: number
  /** Undefined: to the end of the file. */
  length: number | undefined
}

/** Parses `external_data` entries; throws OnnxError when they make no sense. */
export function externalReference(
  entries: readonly EntryProto[],
  tensor: string,
  file: string | undefined,
): ExternalReference {
  const values = new Map(entries.map(({ key, value }) => [key ?? '', value ?? '']))
  const location = values.get('location')
  const number = (key: string): number | undefined => {
    const text = values.get(key)
    if (text === undefined || text === '') return undefined
    const value = Number(text)
    if (Number.isSafeInteger(value) && value >= 0) return value
    throw new OnnxError('EXTERNAL_DATA_INVALID', `tensor "${tensor}" has the ${key} "${text}" in its external data`, {
      place: { file },
      hint: 'The model file is damaged or was edited by hand. Export it again.',
    })
  }
  if (!location)
    throw new OnnxError(
      'EXTERNAL_DATA_INVALID',
      `tensor "${tensor}" is stored outside the model, but the model does not say where`,
      {
        place: { file },
        hint: 'Export the model again.',
      },
    )
  return { location, offset: number('offset') ?? 0, length: number('length') }
}

/**
 * The bytes of a tensor stored in a data file. Only files in the model's own folder (or below it) are read: absolute paths,
 * `..` and links that lead out are refused, because a model is data from elsewhere and must not read the user's files.
 *
 * @param expected byte length that shape and dtype ask for
 */
export function openExternal(
  reference: ExternalReference,
  expected: number,
  tensor: string,
  modelFile: string | undefined,
): FileBytes {
  const place = { file: modelFile }
  const { location, offset } = reference
  if (!modelFile)
    throw new OnnxError(
      'EXTERNAL_DATA_NO_FILE',
      `tensor "${tensor}" is stored in "${location}", but the model was given as bytes`,
      {
        hint: 'Give the path of the model instead.',
      },
    )
  const folder = realpathSync(dirname(modelFile))
  const path = resolve(folder, location)
  const outside = (real: string): boolean =>
    real !== folder && !real.startsWith(folder.endsWith(sep) ? folder : folder + sep)
  const refuse = (): OnnxError =>
    new OnnxError(
      'EXTERNAL_DATA_OUTSIDE',
      `tensor "${tensor}" is stored in "${location}", outside the model's folder`,
      {
        place,
        hint: 'For your safety only files beside the model are read. Move the data file there and export the model again.',
      },
    )
  if (isAbsolute(location) || /^[a-z]:[\\/]/i.test(location) || outside(path)) throw refuse()
  let real: string
  try {
    real = realpathSync(path)
  } catch (cause) {
    throw new OnnxError(
      'EXTERNAL_DATA_MISSING',
      `the data file "${location}" of the model is missing (tensor "${tensor}")`,
      {
        place,
        hint: `Put it beside the model: models with external data consist of several files.`,
        cause,
      },
    )
  }
  if (outside(real)) throw refuse()
  const stat = statSync(real)
  if (!stat.isFile())
    throw new OnnxError('EXTERNAL_DATA_INVALID', `"${location}", the data file of tensor "${tensor}", is not a file`, {
      place,
    })
  const length = reference.length ?? expected
  if (length !== expected)
    throw new OnnxError(
      'EXTERNAL_DATA_INVALID',
      `tensor "${tensor}" needs ${expected} bytes, but its external data has ${length}`,
      {
        place,
        hint: 'Model and data file do not belong together, or one is damaged.',
      },
    )
  if (offset + length > stat.size)
    throw new OnnxError(
      'EXTERNAL_DATA_TRUNCATED',
      `tensor "${tensor}" lies at bytes ${offset} to ${offset + length} of "${location}", which has only ${stat.size}`,
      { place, hint: 'The data file is cut off, or belongs to another model. Fetch it again.' },
    )
  return new FileBytes(real, offset, length)
}
