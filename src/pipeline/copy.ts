import { chmodSync, constants, copyFileSync, statSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'

/** What is read at once and written while the next is read: the file system's own copies do one after the other. */
const PIECE = 1 << 22

/** Files up to this size are copied at once: to ask other threads takes longer. */
const SMALL = 1 << 20

const OWNER_MAY_WRITE = 0o200

/** A copy of a file that shares the blocks of the disk where the file system can do that. */
export async function copy(from: string, to: string): Promise<void> {
  const { size, mode } = statSync(from)
  if (size <= SMALL) {
    copyFileSync(from, to, constants.COPYFILE_FICLONE)
    return allowWriting(to, mode)
  }
  const { copyFile, open } = await import('node:fs/promises')
  const isShared = await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE).then(
    () => true,
    () => false,
  )
  if (isShared) return allowWriting(to, mode)
  const source = await open(from, 'r')
  const target = await open(to, 'w').catch(async (error: unknown) => {
    await source.close()
    throw error
  })
  let writing: Promise<void> = Promise.resolve()
  try {
    const { size } = await source.stat()
    const buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(Math.min(PIECE, size)))
    for (let at = 0, turn = 0; at < size; turn ^= 1) {
      const { bytesRead, buffer } = await source.read(buffers[turn]!, 0, Math.min(PIECE, size - at), at)
      if (bytesRead === 0) throw new Error(`${from} ends too early`)
      await writing
      writing = writeAt(target, buffer.subarray(0, bytesRead), at)
      // It is awaited with the next piece; until then a failure must not count as unhandled.
      writing.catch(() => {})
      at += bytesRead
    }
    await writing
  } finally {
    await writing.catch(() => {})
    await Promise.all([source.close(), target.close()])
  }
}

async function writeAt(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten
}

/** Copies of a model that nobody may write, as data stores keep them, are results like others. */
function allowWriting(file: string, mode: number): void {
  if (!(mode & OWNER_MAY_WRITE)) chmodSync(file, mode | OWNER_MAY_WRITE)
}
