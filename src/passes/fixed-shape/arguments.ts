import { OnnxError } from '../../onnx/errors.ts'

type Texts = { readonly [name: string]: string } | undefined
type List = readonly string[] | undefined

/** What to fix: shapes by input, or sizes by dimension name; one of the two is empty. */
export interface FixedShapes {
  shapes: ReadonlyMap<string, readonly number[]>
  dimensions: ReadonlyMap<string, number>
}

/** Each form as a map or as two lists. */
export interface FixedShapeOptions {
  shape?: Texts
  inputName?: List
  inputShape?: List
  dim?: Texts
  dimParam?: List
  dimValue?: List
}

/**
 * Reads and checks the options of the pass.
 *
 * @throws OnnxError `SHAPE_INVALID` for a size that is no whole number (of shapes: no positive one), lists that differ in length, a
 * name that occurs twice, or both forms at once
 */
export function readArguments(options: FixedShapeOptions): FixedShapes {
  const { shape, inputName, inputShape, dim, dimParam, dimValue } = options
  if ((shape || inputName || inputShape) && (dim || dimParam || dimValue))
    throw new OnnxError('SHAPE_INVALID', '`shape` and `dim` can not be used together', {
      hint: 'Fix the sizes by input (shape=input_ids:1x128) or by the names of dimensions (dim=batch:1,sequence:128).',
    })
  return {
    shapes: readShapes(joined(shape, ['input_name', inputName], ['input_shape', inputShape])),
    dimensions: readDimensions(joined(dim, ['dim_param', dimParam], ['dim_value', dimValue])),
  }
}

/** Values by name, out of a map and two lists. */
function joined(map: Texts, [key, names = []]: [string, List], [otherKey, values = []]: [string, List]) {
  if (names.length !== values.length)
    throw new OnnxError(
      'SHAPE_INVALID',
      `\`${key}\` and \`${otherKey}\` differ in length: ${names.length} and ${values.length}`,
      { hint: `Give one of \`${otherKey}\` for each of \`${key}\`, in the same order.` },
    )
  const entries = [...Object.entries(map ?? {}), ...names.map((name, i) => [name, values[i]!] as const)]
  const all = new Map(entries)
  for (const [name, value] of entries)
    if (all.get(name) !== value)
      throw new OnnxError('SHAPE_INVALID', `"${name}" would be ${value} and ${all.get(name)} at once`, {
        hint: 'Name it once.',
      })
  return all
}

/** `input_ids -> '1x128'` to `input_ids -> [1, 128]`. */
function readShapes(texts: ReadonlyMap<string, string>): Map<string, number[]> {
  return new Map(
    [...texts].map(([name, text]) => {
      const dims = text.split(/[x\u00d7*]/).map(wholeNumber)
      if (!dims.every((size) => size))
        throw new OnnxError('SHAPE_INVALID', `"${text}" is no shape for the input "${name}"`, {
          hint: 'Write positive sizes with an x between them, e.g. shape=input_ids:1x128.',
        })
      return [name, dims as number[]]
    }),
  )
}

/** `batch -> '1'` to `batch -> 1`. Zero is a size: the past of a decoder's first step has it. */
function readDimensions(texts: ReadonlyMap<string, string>): Map<string, number> {
  return new Map(
    [...texts].map(([name, text]) => {
      const size = wholeNumber(text)
      if (size === undefined)
        throw new OnnxError('SHAPE_INVALID', `"${text}" is no size for the dimension "${name}"`, {
          hint: 'Write a whole number, e.g. dim=batch:1.',
        })
      return [name, size]
    }),
  )
}

function wholeNumber(text: string): number | undefined {
  const size = /^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(size) ? size : undefined
}
