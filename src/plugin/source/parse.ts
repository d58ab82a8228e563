import { type Expression, type Node, parseExpressionAt, type SpreadElement } from 'acorn'
import type { Source } from './edit.ts'

/** The expression that starts at `start`; undefined where it is not plain JavaScript (type arguments, a syntax error). */
export function expressionAt(code: string, start: number): Expression | undefined {
  try {
    return parseExpressionAt(code, start, { ecmaVersion: 'latest', sourceType: 'module' })
  } catch {
    return undefined
  }
}

/** The call (or `new`, or `import()`) whose text starts at `start`, whatever follows it in its statement. */
export function callAt({ code, bare }: Source, start: number): Expression | undefined {
  let depth = 0
  for (let at = bare.indexOf('(', start); at >= 0 && at < bare.length; at++) {
    if (bare[at] === '(') depth++
    else if (bare[at] === ')' && --depth === 0) return expressionAt(code.slice(0, at + 1), start)
  }
  return undefined
}

/** The text of a string literal or of a template without expressions. */
export function literalText(node: Node | undefined): string | undefined {
  const expression = node as Expression | SpreadElement | undefined
  if (expression?.type === 'Literal' && typeof expression.value === 'string') return expression.value
  if (expression?.type === 'TemplateLiteral' && expression.expressions.length === 0)
    return expression.quasis[0]?.value.cooked ?? undefined
  return undefined
}

/** A value written out in the source; `undefined` for anything that would have to be run. */
export type Static = string | number | boolean | null | Static[] | { [key: string]: Static } | undefined

/** Evaluates literals, arrays and objects of literals. */
export function staticValue(node: Node | undefined): Static {
  const expression = node as Expression | undefined
  const text = literalText(expression)
  if (text !== undefined) return text
  if (expression?.type === 'Literal') {
    const { value } = expression
    return typeof value === 'number' || typeof value === 'boolean' || value === null ? value : undefined
  }
  if (expression?.type === 'ArrayExpression') {
    const items = expression.elements.map((item) => staticValue(item ?? undefined))
    return items.includes(undefined) ? undefined : items
  }
  if (expression?.type !== 'ObjectExpression') return undefined
  const object: { [key: string]: Static } = {}
  for (const property of expression.properties) {
    if (property.type !== 'Property' || property.computed) return undefined
    const key = property.key.type === 'Identifier' ? property.key.name : literalText(property.key)
    const value = staticValue(property.value)
    if (key === undefined || value === undefined) return undefined
    object[key] = value
  }
  return object
}

/** True for `import.meta.url`. */
export function isImportMetaUrl(node: Node | undefined): boolean {
  const expression = node as Expression | undefined
  return (
    expression?.type === 'MemberExpression' &&
    expression.object.type === 'MetaProperty' &&
    expression.property.type === 'Identifier' &&
    expression.property.name === 'url'
  )
}
