import { OnnxError } from '../onnx/errors.ts'

/** Levels of ONNX Runtime by the number that the Python optimizer takes. */
const BY_NUMBER: Readonly<Record<string, string>> = { 0: 'clean', 1: 'basic', 2: 'extended', 99: 'all' }

/**
 * What `optLevel` and `onlyOnnxruntime` stand for: parameters of passes.
 *
 * @param own parameters of one layer of options
 * @throws OnnxError `OPTION_VALUE` for a level that does not exist, `OPTION_CONFLICT` where the layer says something else by name
 */
export function levelParams(own: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { optLevel, onlyOnnxruntime, optimize, fuse } = own
  const named = optLevel === undefined ? undefined : BY_NUMBER[String(optLevel)]
  if (optLevel !== undefined && named === undefined)
    throw new OnnxError('OPTION_VALUE', `there is no optimization level ${optLevel}`, {
      hint: 'Levels are 0, 1, 2 and 99.',
    })
  if (named !== undefined && optimize !== undefined && optimize !== named)
    throw new OnnxError('OPTION_CONFLICT', `opt_level=${optLevel} is optimize=${named}, not optimize=${optimize}`, {
      hint: 'Give one of them.',
    })
  const level = named === undefined ? {} : { optimize: named }
  if (!onlyOnnxruntime) return level
  if (fuse !== undefined && fuse !== 'none')
    throw new OnnxError('OPTION_CONFLICT', `only_onnxruntime leaves out what fuse=${fuse} asks for`, {
      hint: 'Give one of them.',
    })
  const chosen = (optimize ?? named ?? 'extended') as string
  if (chosen === 'none' || chosen === 'clean')
    throw new OnnxError('OPTION_CONFLICT', `only_onnxruntime has nothing to run with optimize=${chosen}`, {
      hint: 'Give optimize=basic, extended or all (opt_level=1, 2 or 99).',
    })
  return { optimize: chosen, fuse: 'none' }
}
