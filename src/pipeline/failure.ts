import { type ErrorPlace, OnnxError } from '../onnx/errors.ts'

/** An error as plain data, so that it survives the way from a worker to the main thread with its class and code. */
export interface WireError {
  code: string
  what: string
  hint?: string | undefined
  place: ErrorPlace
  /** Stack of the original, for bugs. */
  stack?: string | undefined
}

/** What a system error code means to somebody who builds a model. `write` tells reading and writing apart. */
function describeSystemError(error: NodeJS.ErrnoException, write: boolean): OnnxError | undefined {
  const path = error.path ? ` (${error.path})` : ''
  const options = { cause: error }
  switch (error.code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new OnnxError('DISK_FULL', `there is no space left to write the optimized model${path}`, {
        ...options,
        hint: 'Free some space (`unplugin-onnx cache prune`), or set `cache.dir` to a folder on another disk.',
      })
    case 'EFBIG':
      return new OnnxError('FILE_TOO_BIG', `the file system refuses a file of this size${path}`, options)
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return write
        ? new OnnxError('CACHE_NOT_WRITABLE', `the cache folder cannot be written${path}`, {
            ...options,
            hint: 'Set `cache.dir` to a folder that this user may write.',
          })
        : new OnnxError('MODEL_NOT_READABLE', `this user may not read the file${path}`, {
            ...options,
            hint: 'Check its permissions.',
          })
    case 'ENOENT':
    case 'ENOTDIR':
      return write
        ? undefined
        : new OnnxError('MODEL_NOT_FOUND', `there is no such file${path}`, {
            ...options,
            hint: 'Check the path; in an import it is relative to the importing module.',
          })
    case 'EISDIR':
      return write
        ? undefined
        : new OnnxError('MODEL_IS_FOLDER', `this is a folder, not a file${path}`, {
            ...options,
            hint: 'Name the file in it.',
          })
    case 'EMFILE':
    case 'ENFILE':
      return new OnnxError('TOO_MANY_OPEN_FILES', 'this process has too many files open', {
        ...options,
        hint: 'Raise the limit (`ulimit -n`) or build fewer models at once (`concurrency`).',
      })
    default:
      if (write || !error.code?.startsWith('E') || error.syscall === undefined) return undefined
      return new OnnxError('MODEL_NOT_READABLE', `the file can't be read: ${error.message}`, {
        ...options,
        hint: 'Check that the path leads to a file that this user may read.',
      })
  }
}

/** Turns anything thrown into an `OnnxError`; what is none of the known failures is reported as a bug of ours. */
export function toOnnxError(error: unknown, access: 'read' | 'write' = 'write'): OnnxError {
  if (error instanceof OnnxError) return error
  if (error instanceof Error) {
    const known = describeSystemError(error, access === 'write')
    if (known) return known
    if (
      error instanceof RangeError &&
      /allocation failed|Invalid typed array length|ERR_OUT_OF_RANGE/.test(error.message)
    )
      return outOfMemory(error)
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return new OnnxError('INTERNAL', `the build failed unexpectedly: ${text}`, {
    cause: error,
    hint: 'This is a fault of unplugin-onnx: please report it with the model, or the part of it you can share.',
  })
}

/** The error for a build that needs more memory than there is. */
export function outOfMemory(cause: unknown): OnnxError {
  return new OnnxError('OUT_OF_MEMORY', 'there is not enough memory to build this model', {
    cause,
    hint: 'Build fewer models at once (`concurrency: 1`) or store the weights as external data.',
  })
}

/** A copy of `error` with a place of its own: one failed build may answer several importers. */
export function placed(error: unknown, place: ErrorPlace): OnnxError {
  const known = toOnnxError(error)
  const copy = new OnnxError(known.code, known.what, {
    ...(known.hint === undefined ? {} : { hint: known.hint }),
    place: { ...known.place },
    cause: known.cause ?? known,
  })
  return copy.at(place)
}

/** Packs an error for `postMessage`. */
export function toWire(error: unknown): WireError {
  const { code, what, hint, place, cause, stack } = toOnnxError(error, 'write')
  return { code, what, hint, place, stack: cause instanceof Error ? cause.stack : stack }
}

/** Unpacks what `toWire` packed. */
export function fromWire({ code, what, hint, place, stack }: WireError): OnnxError {
  const cause = stack === undefined ? undefined : Object.assign(new Error(what), { stack })
  return new OnnxError(code, what, { ...(hint === undefined ? {} : { hint }), place, cause })
}

/** Throws the signal's reason when it is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

/** The error of a build that was called off. */
export function abortError(signal: AbortSignal): OnnxError {
  return new OnnxError('ABORTED', 'the build was called off', { cause: signal.reason })
}
