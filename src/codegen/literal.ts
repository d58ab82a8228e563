/**
 * A plain JSON value as JavaScript source. Unlike bare JSON it keeps a key named `__proto__` a key: names come from
 * model files, and in an object literal `"__proto__": x` would set the prototype instead.
 */
export function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => literal(item ?? null)).join(', ')}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'undefined'
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .map(([key, field]) => `${propertyKey(key)}: ${literal(field)}`)
  return fields.length ? `{ ${fields.join(', ')} }` : '{}'
}

/** A key of an object literal or a type literal: bare where it is an identifier, else quoted. */
export function propertyKey(key: string): string {
  if (key === '__proto__') return '["__proto__"]'
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key)
}
