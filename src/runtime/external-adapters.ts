import { type AdapterFile, type AdapterSet, adapterOf, type LoadFile, readAdapter } from './adapters.ts'
import { OnnxSessionError, reasonOf } from './error.ts'
import type { ModelFiles } from './model.ts'
import type { Session } from './types.ts'

/**
 * Adapters that are external data of the model: a session of ONNX Runtime for each, opened when it is first asked for.
 *
 * @param path the name that the model has for the file
 * @param list adapters whose files have the same weights at the same places
 */
export function externalAdapterSet(load: LoadFile, path: string, list: readonly AdapterFile[]): AdapterSet {
  const names = list.map(({ name }) => name)
  return {
    names,
    async open(variant, open, first) {
      const opened = new Map<string | undefined, Promise<Session>>()
      /** Ends what each session holds. */
      const releases = new Set<() => Promise<void>>()
      let disposal: Promise<void> | undefined
      const dispose = () => {
        disposal ??= Promise.allSettled(opened.values())
          .then(() => Promise.all([...releases].map((release) => release())))
          .then(() => {})
        return disposal
      }
      const start = async (adapter: string | undefined): Promise<Session> => {
        const file = adapter === undefined ? undefined : adapterOf(list, adapter)
        // Zeros everywhere change nothing.
        const reading = file ? readAdapter(load, file) : new Uint8Array(list[0]!.bytes)
        const add = async (files: Promise<ModelFiles>): Promise<ModelFiles> => {
          const [{ model, external = [] }, data] = await Promise.all([files, reading])
          return { model, external: [...external, { path, data }] }
        }
        const view = await open(variant, add).catch((error: unknown) => {
          if (error instanceof OnnxSessionError || (error as Error).name === 'AbortError') throw error
          const which = adapter === undefined ? 'without adapter' : `with the adapter "${adapter}"`
          throw new OnnxSessionError('SESSION_FAILED', `no session ${which}: ${reasonOf(error)}`, error)
        })
        releases.add(view().dispose)
        return view(undefined, { adapters: names, adapter, withAdapter, dispose, [Symbol.asyncDispose]: dispose })
      }
      const withAdapter = async (adapter: string | undefined): Promise<Session> => {
        if (disposal) throw new OnnxSessionError('SESSION_DISPOSED', 'the session has been disposed')
        const opening = opened.get(adapter) ?? start(adapter)
        opened.set(adapter, opening)
        // What failed may be tried again.
        opening.catch(() => opened.delete(adapter))
        return opening
      }
      return withAdapter(first)
    },
  }
}
