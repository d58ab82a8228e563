import { dirname } from 'node:path'
import { mkdir, stat } from '../quick-files.ts'

/**
 * Makes a folder and those above it. Unlike `mkdir` with `recursive`, which runs in circles below folders that accept no
 * new names (`/proc`), this ends with the system's error.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && dirname(path) !== path) {
      await makeFolder(dirname(path))
      await mkdir(path).catch((again: NodeJS.ErrnoException) => {
        if (again.code !== 'EEXIST') throw again
      })
      return
    }
    // What is already there may be a folder, or a link to one; some systems say EPERM or EROFS instead of EEXIST.
    const isFolder = await stat(path).then(
      (stats) => stats.isDirectory(),
      () => false,
    )
    if (!isFolder) throw error
  }
}
