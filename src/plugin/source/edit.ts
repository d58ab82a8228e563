/** A module's text while it is being rewritten. */
export interface Source {
  /** The module's id, for error messages. */
  id: string
  code: string
  /** `code` with comments and the insides of strings blanked: what matches here is code. Same length. */
  bare: string
}

/** Replaces `code[start, end)` by `text`; `imports` are statements that the replacement needs. */
export interface Edit {
  start: number
  end: number
  text: string
  imports?: string
}

/** `file:line:column` of an offset, as editors and terminals link it. */
export function placeOf({ id, code }: Source, offset: number): string {
  const before = code.slice(0, offset)
  const line = before.split('\n').length
  return `${id}:${line}:${offset - before.lastIndexOf('\n')}`
}
