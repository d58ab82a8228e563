import { type Dirent, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { badData } from './types.ts'

const IMAGE = /\.(jpe?g|png|webp|gif|avif|tiff?|svg)$/i

/** The images in a folder and the folders below it, in the order of their names. */
export function imageFiles(folder: string): string[] {
  return entriesOf(folder)
    .filter((entry) => entry.isFile() && IMAGE.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
  } catch (cause) {
    const hint = 'Name the folder that holds the samples and nothing else.'
    throw badData(`the folder can't be read: ${(cause as Error).message}`, folder, hint, cause)
  }
}
