/**
 * The pattern engine: rules that replace parts of a graph.
 *
 * ```ts
 * export const geluErf: Rule = rule({
 *   name: 'gelu-erf',
 *   doc: 'x * 0.5 * (1 + erf(x / sqrt(2))) -> Gelu',
 *   emits: ['Gelu', 'com.microsoft:Gelu'],              // the first that the target runs becomes `emit`
 *   match: ({ op, any, near, product }) => {
 *     const x = any('x')                                 // named: check and replace get it, typed
 *     return op.Mul(x, op.Add(op.Erf(product(x, near(Math.SQRT1_2))), 1), 0.5)
 *   },
 *   check: ({ x }) => x.isFloat || no('is not a float tensor', x),
 *   replace: ({ emit, x }) => emit(x),
 * })
 * rewrite(model, [[geluErf, ...], [...later phase]], { allows, steps, strict })
 * ```
 *
 * **match** describes one value (the root) as a formula. The words (`Formula`):
 * - `op.Name(inputs..., { attribute: wanted })`, `ms.Name(...)`, `oneOf(['Relu', 'domain:Op'], ...)`; a number stands for `near`.
 *   All inputs must be there: `absent()`, `ifGiven(p)`, `rest()` say otherwise. An attribute is wanted as a literal or by a
 *   predicate over the node. `pattern.out(1)` is another output of the same node.
 * - `any(name?)`, `constant(name?)`, `scalar(name?)` (captured as a number), `near(number, tolerance?)`.
 * - Commutative operators match in both orders. `op.Add`/`op.Mul` with three or more inputs, `sum` and `product` match any
 *   grouping and order, with `- constant` and `/ constant` as terms.
 * - `either(name?, { tag: pattern, ... })`: alternatives, also as root; with a name, `match[name]` is the tag.
 * - `maybe(['Cast', 'Reshape'], p)`: p behind any number of these. Identity is never seen, and constants may stand behind Identity
 *   and (small ones) Cast.
 * - `pattern.as(name)` captures, `.where(value => bool | no(reason, about))` tests, `.shaped('B', 'S', 64, '_')` unifies dims
 *   by name (`match.dims.B`), `.shared()` allows other readers (its node then stays), `.replaced()` likewise where the replacement
 *   gives the value too.
 * - One pattern object used twice, or one name used twice, must be the same value twice.
 * - `roots(p.as('a'), q.as('b'))`: several roots that share a value; replace returns `{ a, b }`.
 *
 * **check** returns true, `no(reason, valueOrNode)`, or an object of facts that replace receives.
 *
 * **replace** builds with `op`, `ms`, `emit` (nodes appear at once, before the root; inputs may be Values, Tensors, numbers of the
 * first value's type, int64 lists, null), `create` (several outputs, any domain) and `constant`, and returns the value for the
 * root, the outputs for the root's node (what `create` returns), or values by capture name (`{ root: y, sum }` also replaces the capture `sum`), or `no(...)`. It must not edit the graph
 * in other ways. With `lifts`, what it reads is moved up where a replaced capture is read before that is known. Intermediate operators shared by several rules go into `INTERNAL_DOMAIN`.
 *
 * What rules need not care about: interior values with other readers or that are graph outputs refuse the match; what became
 * unused is removed (constants too); names of replaced values, graph outputs and declared types survive; order and name
 * uniqueness; subgraphs and function bodies; opset imports; types of new values. A match that would change element type
 * or rank of a value is refused. A rule that throws is left out from then on and reported; one that never ends likewise.
 */
export type { AttributeInputs } from './attributes.ts'
export { type Build, type BuildInput, type CreateNode, INTERNAL_DOMAIN, type OpBuilder } from './build.ts'
export {
  constantOf,
  integersFrom,
  integersOf,
  isGiven,
  isNear,
  numberOf,
  sameDim,
  sameShape,
  uniformNumber,
  withoutIdentity,
} from './constants.ts'
export { explain, type RewriteOptions, type RewriteResult, type RuleProblem, rewrite } from './engine.ts'
export { describeValue, type NearMiss } from './explain.ts'
export { MICROSOFT, type MicrosoftOp, qualified, type StandardOp, splitQualified } from './ops.ts'
export { Failure, type Formula, no, Pattern, Roots } from './pattern.ts'
export { type MatchInfo, type Replace, type Replacement, type Rule, type RuleSpec, rule } from './rule.ts'
export { keyOf } from './search.ts'
