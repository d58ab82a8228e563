// npm run bench -- NAME [--runs N] [MODEL...]    (build the project first)
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { cli } from './support/models.mjs'

const BENCHES = {
  accuracy: 1,
  dynamic: 5,
  float16: 5,
  weights: 5,
  static: 5,
  warm: 20,
  latency: 60,
  fuse: 5,
  rewrite: 1,
  adapters: 50,
  processing: 15,
}
const { values, positionals } = parseArgs({ options: { runs: { type: 'string' } }, allowPositionals: true })
const [name, ...names] = positionals
const chosen = name === undefined || name === 'all' ? Object.keys(BENCHES) : [name]
if (chosen.some((each) => !(each in BENCHES))) {
  console.error(`There is no bench "${name}". Benches: ${Object.keys(BENCHES).join(', ')}, all`)
  process.exit(1)
}
if (!existsSync(cli)) {
  console.error('Build the project first: npm run build')
  process.exit(1)
}
for (const each of chosen) {
  const { run } = await import(`./${each}.mjs`)
  await run({ runs: Number(values.runs ?? BENCHES[each]), names })
}
