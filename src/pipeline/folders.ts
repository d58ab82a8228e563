import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { defaultCacheFolder } from './cache/location.ts'

/**
 * Folders of the cache, best first: the configured or default one, and one below the system's temporary folder for when the
 * first can't be written (a read-only checkout, a container).
 */
export function cacheFolders(root: string, dir: string | undefined): string[] {
  return [
    dir === undefined ? defaultCacheFolder(root) : resolve(root, dir),
    join(tmpdir(), `unplugin-onnx-${userName()}`),
  ]
}

function userName(): string {
  try {
    return userInfo().username.replace(/[^\w.-]/g, '_')
  } catch {
    return String(process.getuid?.() ?? 'user')
  }
}
