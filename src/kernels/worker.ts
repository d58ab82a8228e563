import { parentPort } from 'node:worker_threads'
import { type BlockTask, doTask, memoryOf } from './task.ts'
import type { FromThread } from './threads.ts'

// Entry of a thread of `BlockThreads`.
const port = parentPort!
const send = (message: FromThread, memory: ArrayBuffer[] = []): void => port.postMessage(message, memory)
port.on('message', (task: BlockTask) => {
  try {
    const result = doTask(task)
    send({ result }, memoryOf(result))
  } catch (error) {
    send({ error })
  }
})
send('up')
