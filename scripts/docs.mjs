// Writes the generated parts of README.md anew. `--check` only tells whether they are up to date.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = resolve(import.meta.dirname, '..')
const readme = join(root, 'README.md')
const bundle = join(root, `.cache/docs-${process.pid}.mjs`)
await build({
  entryPoints: [join(root, 'scripts/docs/render.ts')],
  outfile: bundle,
  bundle: true,
  format: 'esm',
  platform: 'node',
  packages: 'external',
  logLevel: 'warning',
})
const { render } = await import(pathToFileURL(bundle).href)
rmSync(bundle)

const before = readFileSync(readme, 'utf8')
const after = render(before)
if (after === before) console.log('README.md is up to date')
else if (process.argv.includes('--check')) {
  console.error('README.md is stale: run `npm run docs`')
  process.exitCode = 1
} else {
  writeFileSync(readme, after)
  console.log('README.md written')
}
