import type { Node } from '../graph/node.ts'
import type { Value } from '../graph/value.ts'
import type { MicrosoftOp, StandardOp } from './ops.ts'
import { MICROSOFT, qualified, splitQualified } from './ops.ts'

export type Nothing = Record<never, never>

/** Why a check or a predicate refused; made by `no`. */
export class Failure {
  readonly reason: string
  /** What the reason is about: named in the near-miss report. */
  readonly about: Value | Node | undefined

  constructor(reason: string, about?: Value | Node) {
    this.reason = reason
    this.about = about
  }
}

/** Refuses a match: `rank === 3 || no('x is not of rank 3', x)`. */
export function no(reason: string, about?: Value | Node): Failure {
  return new Failure(reason, about)
}

/** A predicate on one value. A Failure gives the reason; plain false is reported as "refused". */
export type ValueTest = (value: Value) => boolean | Failure

/** Wanted attributes: a literal (floats within rounding), or a predicate over the node. A missing attribute counts as its ONNX default. */
export type AttributeTests = { readonly [name: string]: number | string | readonly number[] | AttributeTest }
export type AttributeTest = (node: Node) => boolean | Failure

/** What a pattern looks for, without what is said about the value (name, tests). Its identity is that of the value it matches. */
export type Spec =
  | { kind: 'any' }
  | { kind: 'constant' }
  | { kind: 'number'; near: number | undefined; tolerance: number | undefined }
  | { kind: 'node'; node: NodeSpec; output: number }
  | { kind: 'chain'; op: 'Add' | 'Mul'; terms: readonly Pattern<object>[]; size: number }
  | { kind: 'either'; tag: string | undefined; options: readonly (readonly [string, Pattern<object>])[] }
  | { kind: 'maybe'; ops: ReadonlySet<string>; inner: Pattern<object> }
  | { kind: 'absent' }
  | { kind: 'given'; inner: Pattern<object> }
  | { kind: 'rest' }

export interface NodeSpec {
  /** Qualified operator names, any of which matches. */
  ops: ReadonlySet<string>
  inputs: readonly Pattern<object>[]
  attributes: AttributeTests | undefined
  commutes: boolean
}

/**
 * A pattern for one value. Patterns are immutable: the methods return a copy that means the same value. One pattern that stands
 * twice in a formula must match the same value twice.
 */
export class Pattern<B extends object = Nothing> {
  declare readonly bindings: B
  readonly spec: Spec
  readonly name: string | undefined
  readonly tests: readonly ValueTest[]
  readonly dims: readonly (string | number)[] | undefined
  readonly mayBeShared: boolean
  readonly isReplaced: boolean

  constructor(
    spec: Spec,
    more: {
      name?: string | undefined
      tests?: readonly ValueTest[]
      dims?: readonly (string | number)[]
      mayBeShared?: boolean
      isReplaced?: boolean
    } = {},
  ) {
    this.spec = spec
    this.name = more.name
    this.tests = more.tests ?? []
    this.dims = more.dims
    this.mayBeShared = more.mayBeShared ?? false
    this.isReplaced = more.isReplaced ?? false
  }

  #with(more: ConstructorParameters<typeof Pattern>[1]): Pattern<object> {
    const { name, tests, dims, mayBeShared, isReplaced } = this
    return new Pattern(this.spec, { name, tests, mayBeShared, isReplaced, ...(dims ? { dims } : {}), ...more })
  }

  /** Gives the matched value a name under which check and replace find it. */
  as<N extends string>(name: N): Pattern<B & Record<N, Value>> {
    return this.#with({ name }) as never
  }

  /** Adds a predicate on the value. */
  where(test: ValueTest): Pattern<B> {
    return this.#with({ tests: [...this.tests, test] }) as never
  }

  /** The value must have this shape: a number is a size, a name stands for the same size wherever it is used, `_` for any. */
  shaped(...dims: readonly (string | number)[]): Pattern<B> {
    return this.#with({ dims }) as never
  }

  /** The value may be read outside the match too: then its node stays, and what the replacement makes of it is a duplicate. */
  shared(): Pattern<B> {
    return this.#with({ mayBeShared: true }) as never
  }

  /** The value may be read outside the match, as the replacement makes it too: it must be named, and replace returns it by that name. */
  replaced(): Pattern<B> {
    return this.#with({ isReplaced: true }) as never
  }

  /** Another output of the same node. */
  out(output: number): Pattern<B> {
    if (this.spec.kind !== 'node') throw new Error('only the pattern of an operator has outputs')
    return new Pattern({ kind: 'node', node: this.spec.node, output }) as never
  }
}

/** What a rule's `match` returns where it has several roots: all of them must be named, and share a value with the first. */
export class Roots<B extends object = Nothing> {
  declare readonly bindings: B
  readonly patterns: readonly Pattern<object>[]

  constructor(patterns: readonly Pattern<object>[]) {
    this.patterns = patterns
  }
}

type Input = Pattern<object> | number
type Bound<A> = A extends Pattern<infer B> ? B : Nothing
type Intersect<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I & object : never
type Together<A extends readonly unknown[]> = A extends readonly [] ? Nothing : Intersect<Bound<A[number]>>
type KeysOf<U> = U extends unknown ? keyof U : never
type Alternatives<U> = { [K in keyof U]: U[K] } & {
  [K in Exclude<KeysOf<U>, keyof U>]?: (U extends Record<K, infer T> ? T : never) | undefined
}

/** Builds the pattern of an operator: input patterns (numbers stand for `near`), then, if wanted, an object of attribute tests. */
export type OpPattern = <A extends readonly (Input | AttributeTests)[]>(...inputs: A) => Pattern<Together<A>>

/** The words of a formula: the argument of a rule's `match`. */
export interface Formula {
  /**
   * Operators of the standard domain. All inputs must be given (`rest()` stands for any more). Commutative operators match
   * in either order; `Add` and `Mul` of three or more terms match any grouping and order, dividing by or subtracting a constant
   * included.
   */
  op: { readonly [K in StandardOp]: OpPattern }
  /** Operators of `com.microsoft`. */
  ms: { readonly [K in MicrosoftOp]: OpPattern }
  /** An operator of any domain (`domain:Op`), or one of several. */
  oneOf: <A extends readonly (Input | AttributeTests)[]>(
    ops: string | readonly string[],
    ...inputs: A
  ) => Pattern<Together<A>>
  /** Any value. */
  any: { (): Pattern; <N extends string>(name: N): Pattern<Record<N, Value>> }
  /** A constant: initializer, Constant node, or one behind Identity or Cast. Read it with `constantOf`. */
  constant: { (): Pattern; <N extends string>(name: N): Pattern<Record<N, Value>> }
  /** A scalar or uniform constant that does not change its partner's shape, as a JS number. */
  scalar: { (): Pattern; <N extends string>(name: N): Pattern<Record<N, number>> }
  /** Such a constant of about this number. `tolerance` is relative. */
  near: (number: number, tolerance?: number) => Pattern
  /** The factors of a product in any grouping and order; dividing by a constant counts as a factor. */
  product: <A extends readonly Input[]>(...factors: A) => Pattern<Together<A>>
  /** The terms of a sum in any grouping and order; subtracting a constant counts as a term. */
  sum: <A extends readonly Input[]>(...terms: A) => Pattern<Together<A>>
  /** One of several patterns, tried in order. With a name, it tells which. */
  either: {
    <O extends Record<string, Pattern<object>>>(options: O): Pattern<Alternatives<O[keyof O]['bindings']>>
    <N extends string, O extends Record<string, Pattern<object>>>(
      name: N,
      options: O,
    ): Pattern<Record<N, keyof O & string> & Alternatives<O[keyof O]['bindings']>>
  }
  /** The inner pattern, behind any number of these operators (on their first input). */
  maybe: <B extends object>(ops: string | readonly string[], inner: Pattern<B>) => Pattern<B>
  /** An input that is left out. */
  absent: () => Pattern
  /** An input that may be left out. */
  ifGiven: <B extends object>(inner: Pattern<B>) => Pattern<{ [K in keyof B]?: B[K] | undefined }>
  /** Any further inputs; only as an operator's last input. */
  rest: () => Pattern
  /** Several values at once (three MatMuls of one input). Each must be named and share a named value with the first. */
  roots: <A extends readonly Pattern<object>[]>(...patterns: A) => Roots<Together<A>>
}

const COMMUTATIVE = new Set([
  'Add',
  'Mul',
  'And',
  'Or',
  'Xor',
  'Equal',
  'Max',
  'Min',
  'Sum',
  'BitwiseAnd',
  'BitwiseOr',
  'BitwiseXor',
])

function asPattern(input: Input): Pattern<object> {
  return input instanceof Pattern ? input : near(input)
}

function near(number: number, tolerance?: number): Pattern<object> {
  return new Pattern({ kind: 'number', near: number, tolerance })
}

function chain(op: 'Add' | 'Mul', inputs: readonly Input[]): Pattern<object> {
  const terms = inputs.map(asPattern)
  if (terms.length < 2) throw new Error('a product or sum needs two terms')
  return new Pattern({ kind: 'chain', op, terms: [...terms].sort(bySelectivity), size: terms.length - 1 })
}

/** Constants first, then operators, then what matches anything: the fewest branches. */
function bySelectivity(a: Pattern<object>, b: Pattern<object>): number {
  const rank = ({ spec }: Pattern<object>): number =>
    spec.kind === 'number' ? 0 : spec.kind === 'node' || spec.kind === 'chain' ? 1 : spec.kind === 'any' ? 4 : 2
  return rank(a) - rank(b)
}

function nodePattern(ops: readonly string[], args: readonly (Input | AttributeTests)[]): Pattern<object> {
  const last = args.at(-1)
  const attributes = typeof last === 'object' && !(last instanceof Pattern) ? last : undefined
  const inputs = (attributes ? args.slice(0, -1) : args).map((input) => asPattern(input as Input))
  const { op, domain } = splitQualified(ops[0]!)
  if ((op === 'Add' || op === 'Mul') && domain === '' && inputs.length > 2) return chain(op, inputs)
  const at = inputs.findIndex(({ spec }) => spec.kind === 'rest')
  if (at >= 0 && at !== inputs.length - 1) throw new Error(`${op}: rest() must be the last input`)
  const commutes = ops.every((name) => COMMUTATIVE.has(name)) && inputs.length === 2 && at < 0
  return new Pattern({ kind: 'node', node: { ops: new Set(ops), inputs, attributes, commutes }, output: 0 })
}

/** Turns property access into operator names: `builders('', make).Relu` is `make('Relu')`. */
export function byOperator<T>(domain: string, make: (op: string) => T): Record<string, T> {
  const known = new Map<string, T>()
  return new Proxy(
    {},
    {
      get(_, op) {
        const name = qualified(domain, String(op))
        if (!known.has(name)) known.set(name, make(name))
        return known.get(name)
      },
    },
  )
}

const patternOf =
  (op: string) =>
  (...args: readonly (Input | AttributeTests)[]): Pattern<object> =>
    nodePattern([op], args)

const named =
  (spec: Spec) =>
  (name?: string): Pattern<object> =>
    new Pattern({ ...spec }, { name })

/** The words, as one object. */
export const formula: Formula = {
  op: byOperator('', patternOf),
  ms: byOperator(MICROSOFT, patternOf),
  oneOf: (ops: string | readonly string[], ...args: readonly (Input | AttributeTests)[]) =>
    nodePattern(typeof ops === 'string' ? [ops] : ops, args),
  any: named({ kind: 'any' }),
  constant: named({ kind: 'constant' }),
  scalar: named({ kind: 'number', near: undefined, tolerance: undefined }),
  near,
  product: (...factors: readonly Input[]) => chain('Mul', factors),
  sum: (...terms: readonly Input[]) => chain('Add', terms),
  either: (first: unknown, second?: unknown) => {
    const tag = typeof first === 'string' ? first : undefined
    const options = Object.entries((second ?? first) as Record<string, Pattern<object>>)
    return new Pattern({ kind: 'either', tag, options })
  },
  maybe: (ops: string | readonly string[], inner: Pattern<object>) =>
    new Pattern({ kind: 'maybe', ops: new Set(typeof ops === 'string' ? [ops] : ops), inner }),
  absent: () => new Pattern({ kind: 'absent' }),
  ifGiven: (inner: Pattern<object>) => new Pattern({ kind: 'given', inner }),
  rest: () => new Pattern({ kind: 'rest' }),
  roots: (...patterns: readonly Pattern<object>[]) => new Roots(patterns),
} as unknown as Formula

/** Operators that a value matched by the pattern may come from; undefined if it may be any value. */
export function rootOps(pattern: Pattern<object>): ReadonlySet<string> | undefined {
  const { spec } = pattern
  switch (spec.kind) {
    case 'node':
      return spec.node.ops
    case 'chain':
      return new Set(spec.op === 'Mul' ? ['Mul', 'Div'] : ['Add', 'Sub'])
    case 'either':
    case 'maybe': {
      const ops = new Set(spec.kind === 'maybe' ? spec.ops : [])
      for (const inner of spec.kind === 'maybe' ? [spec.inner] : spec.options.map(([, option]) => option)) {
        const more = rootOps(inner)
        if (!more) return undefined
        for (const op of more) ops.add(op)
      }
      return ops
    }
    default:
      return undefined
  }
}

/** Number of nodes that a full match has at most, optional ones left out. */
export function sizeOf(patterns: readonly Pattern<object>[]): number {
  const seen = new Set<object>()
  const count = ({ spec }: Pattern<object>): number => {
    const identity = spec.kind === 'node' ? spec.node : spec
    if (seen.has(identity)) return 0
    seen.add(identity)
    switch (spec.kind) {
      case 'node':
        return 1 + spec.node.inputs.reduce((sum, input) => sum + count(input), 0)
      case 'chain':
        return spec.size + spec.terms.reduce((sum, term) => sum + count(term), 0)
      case 'either':
        return Math.max(...spec.options.map(([, option]) => count(option)))
      case 'maybe':
      case 'given':
        return count(spec.inner)
      default:
        return 0
    }
  }
  return patterns.reduce((sum, pattern) => sum + count(pattern), 0)
}

/** What a pattern looks for, in words, for reports. */
export function describePattern({ spec, name }: Pattern<object>): string {
  switch (spec.kind) {
    case 'any':
      return name ? `${name}` : 'any value'
    case 'constant':
      return name ? `a constant (${name})` : 'a constant'
    case 'number':
      return spec.near === undefined ? 'a scalar constant' : `the constant ${Number(spec.near.toPrecision(6))}`
    case 'node':
      return [...spec.node.ops].join(' or ')
    case 'chain':
      return spec.op === 'Mul' ? `a product of ${spec.terms.length}` : `a sum of ${spec.terms.length}`
    case 'either':
      return spec.options.map(([, option]) => describePattern(option)).join(' or ')
    case 'maybe':
    case 'given':
      return describePattern(spec.inner)
    case 'absent':
      return 'no input'
    case 'rest':
      return 'more inputs'
  }
}
