import { type Stats, statSync } from 'node:fs'

/** What a path is, or undefined if there is nothing. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    // Names that no file can have.
    return undefined
  }
}
