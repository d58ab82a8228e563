import type { WantedSizes } from '../measure/inputs/fixed.ts'
import { ROLES, type Role } from '../measure/inputs/roles.ts'
import { OnnxError } from '../onnx/errors.ts'
import { orList } from '../params/value.ts'
import { readArguments } from '../passes/fixed-shape/arguments.ts'
import type { Invocation } from './command.ts'

/** Flags of commands that run models: which inputs. */
export const inputFlags = {
  inputs: {
    type: 'list',
    doc: 'Inputs: .npz files, or folders of input_0.pb ...; default: plausible ones made from the graph',
    placeholder: 'file',
  },
  batch: { type: 'integer', doc: 'Size of the first dimension of inputs where it is dynamic', min: 1 },
  shape: { type: 'map', doc: 'Shapes of inputs, e.g. `input_ids:1x128`', placeholder: 'input:1x128' },
  dim: { type: 'map', doc: 'Sizes of dynamic dimensions by name, e.g. `sequence:128`', placeholder: 'name:128' },
  role: {
    type: 'map',
    doc: 'What inputs are, where their names do not tell: `ids`, `mask`, `segments`, `positions`, `lengths`',
    placeholder: 'input:role',
  },
} as const

/**
 * The sizes that `--batch`, `--shape` and `--dim` ask for.
 *
 * @throws OnnxError `SHAPE_INVALID` for what is no size
 */
export function wantedSizes(flags: Invocation['flags']): WantedSizes {
  const texts = (key: string) => flags[key] as Readonly<Record<string, string>> | undefined
  return {
    ...readArguments({ ...(flags['shape'] ? { shape: texts('shape') } : {}) }),
    dimensions: readArguments({ ...(flags['dim'] ? { dim: texts('dim') } : {}) }).dimensions,
    batch: flags['batch'] as number | undefined,
  }
}

/**
 * What `--role` says of inputs.
 *
 * @throws OnnxError `OPTION_VALUE` for a role that there is not
 */
export function wantedRoles(flags: Invocation['flags']): ReadonlyMap<string, Role> {
  const given = Object.entries((flags['role'] as Readonly<Record<string, string>> | undefined) ?? {})
  return new Map(
    given.map(([input, role]) => {
      if (!ROLES.includes(role as Role))
        throw new OnnxError('OPTION_VALUE', `'${role}' is no role of an input`, { hint: `Roles are ${orList(ROLES)}.` })
      return [input, role as Role]
    }),
  )
}
