import { createWorkerTask, type WorkerReply, type WorkerTask } from './workers/jobs.ts'

/** Entry of the worker threads: does one job and answers. */
const task: (task: WorkerTask) => Promise<WorkerReply> = createWorkerTask(
  async () => (await import('../passes/index.ts')).allPasses,
)
export default task
