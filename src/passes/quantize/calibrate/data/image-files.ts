import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const IMAGE = /\.(jpe?g|png|webp|gif|avif|tiff?|svg)$/i

/** The images in a folder and the folders below it, in the order of their names. */
export function imageFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && IMAGE.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}
