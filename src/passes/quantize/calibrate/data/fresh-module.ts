import { once } from 'node:events'
import { statSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { isModule, moduleFiles } from './module-files.ts'

/** Modules that this thread has imported along with others, as they were then: Node keeps them as long as the thread lives. */
const imported = new Map<string, string>()

/** True if a module imports another one that has changed since this thread imported it. */
export function isStale(path: string): boolean {
  let stale = false
  for (const file of moduleFiles(path)) {
    if (file === path || !isModule(file)) continue
    const { mtimeMs, size } = statSync(file)
    const stamp = `${mtimeMs} ${size}`
    const known = imported.get(file)
    if (known === undefined) imported.set(file, stamp)
    else if (known !== stamp) stale = true
  }
  return stale
}

/** What the other thread runs. Tensors lose their class on the way: what they hold is sent. */
const CODE = `
const { parentPort, workerData } = require('node:worker_threads')
const plain = (value) =>
  ArrayBuffer.isView(value) || Array.isArray(value) || typeof value !== 'object' || value === null || !value.dims
    ? value
    : { type: value.type, dims: [...value.dims], data: value.data }
const sample = (value) =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
    : value
const send = (work) =>
  Promise.resolve()
    .then(work)
    .then(
      (message) => parentPort.postMessage(message),
      (error) => parentPort.postMessage({ error: String(error?.message ?? error) }),
    )
send(async () => {
  const exported = (await import(workerData)).default
  const given = typeof exported === 'function' ? await exported() : exported
  const own = given?.[Symbol.asyncIterator] ?? (typeof given === 'string' ? undefined : given?.[Symbol.iterator])
  if (!own) throw new TypeError('its default export is no iterable of feeds and no function that returns one')
  const iterator = own.call(given)
  parentPort.on('message', () =>
    send(async () => {
      const { done, value } = await iterator.next()
      return { done: done === true, value: done ? undefined : sample(value) }
    }),
  )
  return { ready: true }
})
`

interface Message {
  done?: boolean
  value?: unknown
  error?: string
}

/** Iterates over what a module exports, in a thread of its own, which imports everything anew. */
export async function freshIterator(url: string): Promise<AsyncIterator<unknown>> {
  const worker = new Worker(CODE, { eval: true, workerData: url, execArgv: [] })
  // It may fail while nobody waits for an answer.
  const ended = new Promise<never>((_resolve, reject) => {
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`it calls process.exit(${code})`)))
  })
  ended.catch(() => {})
  const answer = async (): Promise<Message> => {
    const heard = new AbortController()
    const answered = once(worker, 'message', heard) as Promise<[Message]>
    const [message] = await Promise.race([answered, ended]).finally(() => heard.abort())
    if (message.error === undefined) return message
    await worker.terminate()
    throw new Error(message.error)
  }
  await answer()
  return {
    async next() {
      const answered = answer()
      worker.postMessage('next')
      const { done, value } = await answered
      if (done) await worker.terminate()
      return { done: done === true, value }
    },
    async return() {
      await worker.terminate()
      return { done: true, value: undefined }
    },
  }
}
