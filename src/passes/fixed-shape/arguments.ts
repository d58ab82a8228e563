import { OnnxError } from '../../onnx/errors.ts'

type Texts = { readonly [name: string]: string } | undefined

/** What to fix: shapes by input, or sizes by dimension name; one of the two is empty. */
export interface FixedShapes {
  shapes: ReadonlyMap<string, readonly number[]>
  dimensions: ReadonlyMap<string, number>
}

/**
 * Reads and checks the options of the pass.
 *
 * @throws OnnxError `SHAPE_INVALID` if a size is no positive whole number, or if both forms are used at once
 */
export function readArguments(options: { shape?: Texts; dim?: Texts }): FixedShapes {
  if (options.shape && options.dim)
    throw new OnnxError('SHAPE_INVALID', '`shape` and `dim` can not be used together', {
      hint: 'Fix the sizes by input (shape=input_ids:1x128) or by the names of dimensions (dim=batch:1,sequence:128).',
    })
  return { shapes: readShapes(options.shape), dimensions: readDimensions(options.dim) }
}

/** `{ input_ids: '1x128' }` to `input_ids -> [1, 128]`. */
function readShapes(shape: Texts): Map<string, number[]> {
  return new Map(
    Object.entries(shape ?? {}).map(([name, text]) => {
      const dims = text.split(/[x\u00d7*]/).map(positive)
      if (dims.includes(undefined))
        throw new OnnxError('SHAPE_INVALID', `"${text}" is no shape for the input "${name}"`, {
          hint: 'Write positive sizes with an x between them, e.g. shape=input_ids:1x128.',
        })
      return [name, dims as number[]]
    }),
  )
}

/** `{ batch: '1' }` to `batch -> 1`. */
function readDimensions(dim: Texts): Map<string, number> {
  return new Map(
    Object.entries(dim ?? {}).map(([name, text]) => {
      const size = positive(text)
      if (size === undefined)
        throw new OnnxError('SHAPE_INVALID', `"${text}" is no size for the dimension "${name}"`, {
          hint: 'Write a positive whole number, e.g. dim=batch:1.',
        })
      return [name, size]
    }),
  )
}

function positive(text: string): number | undefined {
  const size = /^\s*\d+\s*$/.test(text) ? Number(text) : 0
  return size > 0 && Number.isSafeInteger(size) ? size : undefined
}
