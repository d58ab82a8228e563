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

/** Folder for files that stay together: readable, and one per content. */
export function folderOf(files: readonly EmitFile[]): string {
  return `${files[0]!.name.replace(/\.[^.]*$/, '')}-${files[0]!.hash.slice(0, 8)}`
}
