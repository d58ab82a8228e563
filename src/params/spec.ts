/**
 * A parameter, declared once. From tables of these come the query grammar, the TypeScript types, the CLI flags, the
 * generated documentation and the cache key. Keys of a table are camelCase (`perChannel`); the query writes
 * `per_channel`, the command line `--per-channel`.
 */
export interface ParamSpec {
  /**
   * - `enum`: one of `values`
   * - `boolean`: `key`, `key=true`, `key=false`
   * - `number` / `integer`: within `min..max`
   * - `string`: any text
   * - `list`: comma-separated texts (names, globs); an array in JS; repeated keys add up
   * - `numbers`: comma-separated numbers, or one; an array, or one, in JS
   * - `map`: comma-separated `name:value` pairs (`input_ids:1x128`); an object of strings in JS
   * - `steps`: comma-separated steps with arguments (`resize(256),centerCrop(224)`); an array of objects in JS
   */
  type: 'enum' | 'boolean' | 'number' | 'integer' | 'string' | 'list' | 'numbers' | 'map' | 'steps'
  /** What the parameter means, in one line of plain words. */
  doc: string
  /** Value when nobody sets it; `undefined` means "off" or "decided by the pass". */
  default?: string | number | boolean
  values?: readonly string[]
  min?: number
  max?: number
  /** Text shown for the value in help, e.g. `glob`, `name:1x128`. */
  placeholder?: string
  /** For `steps`: what there is, by camelCase name. */
  steps?: StepTable
  /** For `steps`: names that other tools have and this does not, with what to do instead. */
  elsewhere?: Readonly<Record<string, string>>
  /** True if two builds that differ only here give the same bytes: such a parameter is no part of the cache key. */
  presentation?: boolean
}

/** Steps that a parameter of type `steps` takes, each with a table of its arguments. */
export type StepTable = { readonly [name: string]: { readonly doc: string; readonly params: ParamTable } }

/** Where an input of a step comes from: a step by its name, which of its outputs, and which input takes it. */
export type Connection = readonly [from: string, output: number, input: number]

/** A dim of the model in place of a number. */
export interface ModelDim {
  readonly of: 'input' | 'output'
  readonly index: number
  readonly dim: number
}

/** One step as it is after reading: its name, and the arguments that were given. */
export interface StepValue {
  readonly step: string
  /** What the `ioMap` of later steps calls it; the step's own name if left out. */
  readonly name?: string
  /** Inputs that do not come from the step before. */
  readonly ioMap?: readonly Connection[]
  readonly [argument: string]: unknown
}

/** What may be written for steps: text, a step, or several; `{ CenterCrop: { height: 224 } }` is a step too. */
export type StepsInput = string | StepValue | { readonly [step: string]: object } | readonly StepsInput[]

export type ParamTable = { readonly [key: string]: ParamSpec }

/** The JS value of one parameter. */
export type ParamValue<S extends ParamSpec> = S['type'] extends 'enum'
  ? S extends { values: readonly (infer V)[] }
    ? V
    : string
  : S['type'] extends 'boolean'
    ? boolean
    : S['type'] extends 'number' | 'integer'
      ? number
      : S['type'] extends 'list'
        ? readonly string[]
        : S['type'] extends 'numbers'
          ? number | readonly number[]
          : S['type'] extends 'steps'
            ? StepsInput
            : S['type'] extends 'map'
              ? { readonly [name: string]: string }
              : string

/** What a user may write: every key optional. */
export type ParamInput<T extends ParamTable> = {
  [K in keyof T]?: (T[K]['type'] extends 'map' ? MapInput : ParamValue<T[K]>) | undefined
}

/** A map in JS: numbers and switches are natural values, and `[1, 128]` is `1x128`. */
export interface MapInput {
  readonly [name: string]: string | number | boolean | readonly number[]
}

/** What a pass reads: keys with a default are always there. */
export type ParamOutput<T extends ParamTable> = {
  [K in keyof T as T[K] extends { default: unknown } ? K : never]: ParamValue<T[K]>
} & {
  [K in keyof T as T[K] extends { default: unknown } ? never : K]?: ParamValue<T[K]> | undefined
}
