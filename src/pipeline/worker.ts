import { serveJobs } from './workers/serve.ts'

// Entry of the worker threads.
serveJobs()
