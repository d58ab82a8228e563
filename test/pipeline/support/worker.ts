import { createWorkerTask, type WorkerReply, type WorkerTask } from '../../../src/pipeline/workers/jobs.ts'
import { passes } from './passes.ts'

const task: (task: WorkerTask) => Promise<WorkerReply> = createWorkerTask(async () => passes)
export default task
