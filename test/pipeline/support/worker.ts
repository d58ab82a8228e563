import { serveJobs } from '../../../src/pipeline/workers/serve.ts'
import { passes } from './passes.ts'

serveJobs(passes)
