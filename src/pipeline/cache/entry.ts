import type { BuildReport, ModelInfo } from '../types.ts'

/** One file of an entry; `name` is its base name in the entry's folder and the name to emit it under. */
export interface EntryFile {
  name: string
  bytes: number
  hash: string
}

/** An adapter's file, and where in it the weights are, in the order of `ModelInfo.adapterInputs` or of the names in the file. */
export interface AdapterFile extends EntryFile {
  /** Name of the adapter. */
  adapter: string
  /** Where the model refers to its data as external data: the name that it has for the file. The same in all adapters. */
  location?: string
  tensors: { offset: number; dims: number[] }[]
}

/** What a build makes, without anything that depends on where, when or how fast it ran. */
export interface EntryReport
  extends Pick<BuildReport, 'bytesBefore' | 'bytesAfter' | 'opsBefore' | 'opsAfter' | 'fused' | 'notes'> {
  passes: BuildReport['passes']
}

/** The sidecar of an entry: everything but the bytes. */
export interface Entry {
  key: string
  model: EntryFile
  external: EntryFile[]
  /** Left out where there are none. */
  adapters?: AdapterFile[]
  tokenizer?: EntryFile
  info: ModelInfo
  report: EntryReport
}

/** Name of the sidecar in an entry's folder. No model file can have it: those come from names that end otherwise. */
export const SIDECAR = 'artifact.json'

/** All files of an entry, the model first. */
export function filesOf<F extends EntryFile>(entry: {
  model: F
  external: readonly F[]
  adapters?: readonly F[]
  tokenizer?: F
}): F[] {
  return [entry.model, ...entry.external, ...(entry.adapters ?? []), ...(entry.tokenizer ? [entry.tokenizer] : [])]
}

/** Reads a sidecar's text; undefined when it is cut off, foreign or for another key. */
export function parseEntry(text: string, key: string): Entry | undefined {
  let entry: Entry
  try {
    entry = JSON.parse(text) as Entry
  } catch {
    return undefined
  }
  const sound =
    entry?.key === key &&
    Array.isArray(entry.external) &&
    Array.isArray(entry.adapters ?? []) &&
    entry.info !== undefined &&
    entry.report !== undefined &&
    filesOf(entry).every(
      (file) => isBaseName(file?.name) && Number.isSafeInteger(file.bytes) && /^[0-9a-f]{64}$/.test(file.hash),
    )
  return sound ? entry : undefined
}

/** Names come from sidecars of shared storage too: nothing may lead out of the entry's folder. */
function isBaseName(name: unknown): boolean {
  return (
    typeof name === 'string' &&
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    name !== SIDECAR &&
    !/[/\\\0]/.test(name)
  )
}
