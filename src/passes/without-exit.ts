/** How to fail the code of the user's that runs just now; several may. */
const running = new Set<(error: Error) => void>()
let exit: typeof process.exit | undefined

/**
 * Runs code of the user's. `process.exit` in it fails it, where it would end the whole build without a word; also where that code
 * catches what is thrown.
 */
export async function withoutExit<T>(run: () => T | PromiseLike<T>): Promise<Awaited<T>> {
  let fail: (error: Error) => void = () => {}
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject
  })
  if (running.size === 0) {
    exit = process.exit
    process.exit = refuse
  }
  running.add(fail)
  try {
    const result = (async () => run())()
    return await Promise.race([failed, result])
  } finally {
    running.delete(fail)
    if (running.size === 0) process.exit = exit!
  }
}

function refuse(code?: number | string | null): never {
  const error = new Error(`it calls process.exit(${code ?? ''}), which would end the whole build`)
  for (const fail of running) fail(error)
  throw error
}
