/** What building takes: most of the code, loaded with the first build of a thread. */
export { allPasses } from '../passes/index.ts'
export { runPasses } from './run.ts'
