import { realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

/**
 * The default export of a module, which is evaluated again for every new `version`. Modules that it imports are kept by Node.
 *
 * @throws whatever the module throws
 */
export async function importAnew(file: string, version: string): Promise<unknown> {
  // Node finds CommonJS by its path alone, whatever follows it.
  delete createRequire(file).cache[realpathSync(file)]
  const url = `${pathToFileURL(file).href}?${version}`
  return ((await import(/* @vite-ignore */ url)) as { default?: unknown }).default
}
