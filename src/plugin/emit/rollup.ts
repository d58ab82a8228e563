import { readFile } from 'node:fs/promises'
import { type Emitter, folderOf, type Hook } from './emitter.ts'

/** The part of Rollup's plugin context that unplugin does not declare. */
interface RollupHook extends Omit<Hook, 'emitFile'> {
  emitFile(asset: { type: 'asset'; name?: string; fileName?: string; source: Uint8Array }): string
}

/**
 * Vite (builds), Rollup and Rolldown: they hash, name and de-duplicate assets and know the URL.
 *
 * @param assetsFolder where files go that must keep their names
 * @param emitted told of every reference that was made
 */
export function rollupEmitter(
  assetsFolder: (hook: Hook) => string,
  emitted: (hook: Hook, reference: string, file: string) => void = () => {},
): Emitter {
  return {
    async emit(hook, files, { together }) {
      const { emitFile } = hook as unknown as RollupHook
      const folder = together ? [assetsFolder(hook), folderOf(files)].filter(Boolean).join('/') : ''
      const urls = []
      for (const { file, name } of files) {
        const source = await readFile(file)
        const reference = emitFile.call(hook, {
          type: 'asset',
          source,
          ...(together ? { fileName: `${folder}/${name}` } : { name }),
        })
        emitted(hook, reference, file)
        urls.push({ setup: '', url: `import.meta.ROLLUP_FILE_URL_${reference}` })
      }
      return urls
    },
  }
}
