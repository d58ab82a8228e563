import { createHash } from 'node:crypto'
import type { UnpluginBuildContext, UnpluginContext } from 'unplugin'
import type { ArtifactFile } from '../../pipeline/types.ts'

/** `this` of the hooks. */
export type Hook = UnpluginBuildContext & UnpluginContext

/** A file to ship: where it is, and the name it had before hashing. */
export type EmitFile = Pick<ArtifactFile, 'file' | 'name' | 'hash'>

/** How the generated module gets the URL of an emitted file. */
export interface EmittedUrl {
  /** Statements that go to the top of the module. */
  setup: string
  /** An expression: a text that `fetch` takes in a browser, a `file:` URL in Node. */
  url: string
}

/**
 * Hands files to one bundler, so that they come out as assets with a hash in their name, once per content.
 */
export interface Emitter {
  /**
   * @param files emitted independently of each other, or, where `together`, in one folder of their own under exactly
   *   their names: ONNX Runtime looks for external data beside the model
   * @param local makes a name of a variable of the generated module unique
   */
  emit(
    hook: Hook,
    files: readonly EmitFile[],
    options: { together: boolean; local: (index: number) => string },
  ): Promise<EmittedUrl[]> | EmittedUrl[]
}

/** Name of a folder for files that stay together: readable, and its own for each content of any of them. */
export function folderOf(files: readonly EmitFile[]): string {
  const content = createHash('sha256')
  for (const { hash } of files) content.update(hash)
  return `${files[0]!.name.replace(/\.[^.]*$/, '')}-${content.digest('hex').slice(0, 8)}`
}

/** What has a meaning in URLs, in names of files; a query cannot be told from a name here. */
export const URL_CHARACTERS: RegExp = /[%#]/g

/** A path in a URL: names of files may hold what has a meaning there. */
export function urlPath(path: string): string {
  return path.replace(URL_CHARACTERS, encodeURIComponent)
}

/** Files that we put into the output ourselves: by their path below the folder in which the bundler puts assets. */
export type Beside = Map<string, EmitFile>

/**
 * For bundlers that name every asset by one template. The model is emitted by the bundler too, to learn where assets are;
 * the set with its names lies in a folder beside it.
 *
 * @param url an expression for the URL of the emitted model
 */
export function setBeside(files: readonly EmitFile[], url: string, beside: Beside): string[] {
  const folder = folderOf(files)
  return files.map((file) => {
    const path = `${folder}/${file.name}`
    beside.set(path, file)
    return `new URL(${JSON.stringify(urlPath(path))}, ${url}).href`
  })
}
