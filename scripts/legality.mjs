// Writes src/rules/legality/tables.ts: which operators have kernels on which device, from the lists that ONNX Runtime
// publishes. Every list is a path or a URL; the ones of onnxruntime-web are those of the installed package.
//
//   node scripts/legality.mjs --cpu cpu.md@1.30.0 --kernels OperatorKernels.md@1.24.0 ...
//
// A list that is not named keeps what the table has. `@` says the version that goes into the table.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseKernelList, parseNameTable, parseRegistry, parseTensorRt, parseWebTable } from './legality/parse.mjs'

const target = resolve(import.meta.dirname, '../src/rules/legality/tables.ts')

/** Per device: the option that names its list, what the list is called, and its reader. */
const DEVICES = {
  cpu: ['cpu', 'onnxruntime, docs/OperatorKernels.md', (text) => parseKernelList(text, 'CPUExecutionProvider')],
  cuda: ['kernels', 'onnxruntime, docs/OperatorKernels.md', (text) => parseKernelList(text, 'CUDAExecutionProvider')],
  dml: ['kernels', 'onnxruntime, docs/OperatorKernels.md', (text) => parseKernelList(text, 'DmlExecutionProvider')],
  tensorrt: ['tensorrt', 'onnx-tensorrt, docs/operators.md', parseTensorRt],
  coreml: ['coreml', 'onnxruntime, coreml_supported_mlprogram_ops.md', parseNameTable],
  qnn: ['qnn', 'onnxruntime, qnn/builder/op_builder_factory.cc', parseRegistry],
  webgpu: ['webgpu', 'onnxruntime-web, docs/webgpu-operators.md', parseWebTable],
  webnn: ['webnn', 'onnxruntime-web, docs/webnn-operators.md', parseWebTable],
}

/** One device as text: where it is from, and a line per operator. */
export function tableText(source, kernels, typeSets) {
  const lines = [...kernels]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([op, list]) => {
      const spans = list.map(({ from, to, types }) => {
        const versions = to === undefined ? `${from}+` : to === from ? `${from}` : `${from}-${to}`
        return types ? `${versions}/${indexOf(typeSets, types.join(' '))}` : versions
      })
      return `${op} ${spans.join(' ')}`
    })
  return [source, ...lines].join('\n')
}

function indexOf(list, item) {
  if (!list.includes(item)) list.push(item)
  return list.indexOf(item)
}

async function readList(place) {
  if (!/^https?:/.test(place)) return readFileSync(place, 'utf8')
  const response = await fetch(place)
  if (!response.ok) throw new Error(`${place}: the server answered ${response.status}`)
  return response.text()
}

function installed(name) {
  const folder = dirname(dirname(createRequire(import.meta.url).resolve('onnxruntime-web')))
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return `${join(folder, 'docs', `${name}-operators.md`)}@${version}`
}

/** The tables that are there: kernels by device, with the types spelled out. */
async function present() {
  try {
    const text = readFileSync(target, 'utf8')
    const sets = /TYPE_SETS[^`]*`([^`]*)`/.exec(text)[1].split('\n')
    const tables = {}
    for (const [, device, body] of text.matchAll(/^ {2}(\w+): `([^`]*)`/gm)) {
      const [source, ...lines] = body.split('\n')
      const spelled = lines
        .map((line) => line.split(' '))
        .map(([op, ...spans]) => [
          op,
          spans.map((span) => {
            const [versions, set] = span.split('/')
            const [, from, to, plus] = /^(\d+)(?:-(\d+))?(\+)?$/.exec(versions)
            return {
              from: Number(from),
              ...(plus ? {} : { to: Number(to ?? from) }),
              ...(set === undefined ? {} : { types: sets[Number(set)].split(' ') }),
            }
          }),
        ])
      tables[device] = { source, kernels: new Map(spelled) }
    }
    return tables
  } catch {
    return {}
  }
}

async function main() {
  const names = [...new Set(Object.values(DEVICES).map(([option]) => option))]
  const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) })
  const given = { webgpu: installed('webgpu'), webnn: installed('webnn'), ...values }
  const before = await present()
  const typeSets = []
  const bodies = []
  for (const [device, [option, name, read]] of Object.entries(DEVICES)) {
    let entry = before[device]
    if (given[option]) {
      const [, place, version] = /^(.*)@([^@]+)$/.exec(given[option]) ?? []
      if (!place) throw new Error(`--${option} needs the version of the list: PATH@VERSION`)
      const [project, file] = name.split(', ')
      entry = { source: `${project} ${version} (${file})`, kernels: read(await readList(place)) }
    }
    if (!entry) throw new Error(`no list for ${device}: give --${option} PATH@VERSION`)
    if (!entry.kernels.size) throw new Error(`the list for ${device} has no operator`)
    bodies.push(`  ${device}: \`${tableText(entry.source, entry.kernels, typeSets)}\`,`)
    console.log(`${device}: ${entry.kernels.size} operators, ${entry.source}`)
  }
  writeFileSync(
    target,
    `// Generated by scripts/legality.mjs from the lists of kernels that ONNX Runtime publishes. Do not edit.

/** Sets of element types, by line. */
export const TYPE_SETS: string = \`${typeSets.join('\n')}\`

/**
 * Per device: the source of its list, then a line per operator: the versions of the operator that it has kernels for and,
 * after a slash, the set of element types that the first operand may have.
 */
export const TABLES = {
${bodies.join('\n')}
} as const
`,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
