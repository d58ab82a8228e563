const OPENING = '{[('
const CLOSING = '}])'

/** Splits at `separator` outside of braces, brackets and parentheses, so that the glob `{a,b}/*` stays whole. */
export function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!
    if (OPENING.includes(letter)) depth++
    else if (CLOSING.includes(letter)) depth = Math.max(0, depth - 1)
    else if (letter === separator && depth === 0) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  parts.push(text.slice(start))
  return parts
}

/** A text without the brackets around it: `[1,2]` is `1,2`. */
export function unwrap(text: string): string {
  const trimmed = text.trim()
  return trimmed.startsWith('[') && trimmed.endsWith(']') ? trimmed.slice(1, -1) : trimmed
}

/** Percent-decoding that leaves a stray `%` as it is. A `+` is a plus, not a space. */
export function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
