import { OnnxError } from '../onnx/errors.ts'

/** Sizes by name of dimension. */
export type Sizes = Readonly<Record<string, number>>

/** `64;128;512`: more than one size for a dimension. */
const SEVERAL = /[;]/

/**
 * `dim=sequence:64;128;512` as one set of values of `dim` per size, smallest first; several such dimensions give every
 * combination. One set, without `frozen`, where no dimension has several sizes.
 *
 * @throws OnnxError `SHAPE_INVALID`
 */
export function frozenDims(
  dim: Readonly<Record<string, string>> | undefined,
): { dim: Readonly<Record<string, string>> | undefined; frozen?: Sizes }[] {
  const open = Object.entries(dim ?? {}).filter(([, text]) => SEVERAL.test(text))
  if (!open.length) return [{ dim }]
  let sets: Sizes[] = [{}]
  for (const [name, text] of open) {
    const sizes = text.split(SEVERAL).map((part) => (/^\s*\d+\s*$/.test(part) ? Number(part) : 0))
    if (sizes.includes(0) || new Set(sizes).size < sizes.length)
      throw new OnnxError('SHAPE_INVALID', `"${text}" are no sizes for the dimension "${name}"`, {
        hint: 'Write different positive whole numbers, e.g. dim=sequence:64;128;512.',
      })
    sets = sets.flatMap((set) => sizes.map((size) => ({ ...set, [name]: size })))
  }
  const volume = (set: Sizes) => Object.values(set).reduce((product, size) => product * size, 1)
  return sets
    .sort((a, b) => volume(a) - volume(b))
    .map((frozen) => ({
      dim: { ...dim, ...Object.fromEntries(Object.entries(frozen).map(([name, size]) => [name, String(size)])) },
      frozen,
    }))
}
