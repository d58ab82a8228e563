import { dirname } from 'node:path'
import { globSync } from 'tinyglobby'
import { OnnxError } from '../../onnx/errors.ts'
import { type Edit, placeOf, type Source } from './edit.ts'
import { callAt, type Static, staticValue } from './parse.ts'

/**
 * `import.meta.glob('./*.onnx', { query, import, eager })` written out, with Vite's meaning, for bundlers that have no
 * such thing. Only calls whose every pattern names models are touched.
 *
 * @throws OnnxError for options that cannot be read from the source
 */
export function* globs(source: Source): Generator<Edit> {
  const { bare } = source
  let count = 0
  for (const { index } of bare.matchAll(/\bimport\.meta\.glob\s*\(/g)) {
    const call = callAt(source, index)
    if (call?.type !== 'CallExpression') continue
    const patterns = strings(staticValue(call.arguments[0]))
    if (!patterns?.some((pattern) => /\.onnx$/.test(pattern))) continue
    const options = call.arguments[1] ? staticValue(call.arguments[1]) : {}
    if (
      !options ||
      typeof options !== 'object' ||
      Array.isArray(options) ||
      patterns.some((one) => !/^!?\.\.?\//.test(one))
    )
      throw new OnnxError(
        'GLOB_NOT_STATIC',
        '`import.meta.glob` of models takes relative patterns and literal options',
        {
          place: { importSite: placeOf(source, index) },
        },
      )
    const files = globSync(patterns, { cwd: dirname(source.id.replace(/\?.*$/, '')), expandDirectories: false }).sort()
    const query = queryText(options['query'])
    const name = typeof options['import'] === 'string' ? options['import'] : undefined
    const imports: string[] = []
    const entries = files.map((file) => {
      const key = file.startsWith('.') ? file : `./${file}`
      const specifier = JSON.stringify(`${key}${query}`)
      if (!options['eager'])
        return `${JSON.stringify(key)}: () => import(${specifier})${name ? `.then((m) => m[${JSON.stringify(name)}])` : ''}`
      const local = `__unplugin_onnx_glob_${count++}`
      imports.push(`import ${name ? `{ ${name} as ${local} }` : `* as ${local}`} from ${specifier}`)
      return `${JSON.stringify(key)}: ${local}`
    })
    yield { start: call.start, end: call.end, text: `({ ${entries.join(', ')} })`, imports: imports.join(';') }
  }
}

function strings(value: Static): string[] | undefined {
  const list = Array.isArray(value) ? value : [value]
  return list.every((item) => typeof item === 'string') ? (list as string[]) : undefined
}

function queryText(query: Static): string {
  if (!query) return ''
  const text =
    typeof query === 'string'
      ? query.replace(/^\?/, '')
      : new URLSearchParams(query as Record<string, string>).toString()
  return `?${text}`
}
