import { createPipeline } from '../../../src/pipeline/index.ts'
import { passes } from './passes.ts'

// Builds one model in a process of its own, and neither closes the pipeline nor exits: the process must end by itself.
const [root, file, worker, stamp] = process.argv.slice(2)
const pipeline = createPipeline({ root, passes, workers: new URL(worker!) })
const { model, report } = await pipeline.build({
  file: file!,
  options: { device: 'cpu', params: { stamp, repeat: 2000 } },
})
console.log(JSON.stringify({ hash: model.hash, cache: report.cache }))
