import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Runs once before all tests: compiles what the sources need at run time. */
export default function setup(): void {
  execFileSync(process.execPath, [fileURLToPath(new URL('../../scripts/kernels.mjs', import.meta.url))], {
    stdio: 'inherit',
  })
}
