import { OnnxError } from '../../onnx/errors.ts'

/** What an input means to a model of text. */
export const ROLES = ['ids', 'mask', 'segments', 'positions', 'lengths'] as const
export type Role = (typeof ROLES)[number]

/** Role by input, where the names of inputs do not tell. */
export type Roles = ReadonlyMap<string, Role>

/** What names tell. The first that fits counts. */
const NAMES: readonly [RegExp, Role][] = [
  [/mask/i, 'mask'],
  [/position/i, 'positions'],
  [/type|segment/i, 'segments'],
]

/** The role of an input: as said, or as its name tells; undefined if neither does. */
export function roleOf(name: string, roles: Roles | undefined): Role | undefined {
  return roles?.get(name) ?? NAMES.find(([pattern]) => pattern.test(name))?.[1]
}

/**
 * @throws OnnxError `INPUTS_INVALID` if roles are given to inputs that there are not
 */
export function checkRoles(roles: Roles | undefined, names: readonly string[]): void {
  for (const name of roles?.keys() ?? [])
    if (!names.includes(name))
      throw new OnnxError('INPUTS_INVALID', `the model has no input "${name}"`, {
        hint: `It takes ${names.join(', ') || 'nothing'}.`,
      })
}
