import { OnnxError } from '../../onnx/errors.ts'
import { joinModelId, splitModelId, withParameter } from '../id.ts'
import { type Edit, placeOf, type Source } from './edit.ts'
import { callAt, isImportMetaUrl, literalText } from './parse.ts'

/**
 * `new URL('./m.onnx?dtype=q8', import.meta.url)` becomes a URL of the asset that `import './m.onnx?dtype=q8&as=url'`
 * emits. Left alone, most bundlers would ship the file as it is, past every plugin.
 *
 * @param keepBase keep `import.meta.url`, where the bundler's URLs are relative to the page's origin. Elsewhere it goes:
 *   webpack takes a name in that place for a whole folder of files
 * @throws OnnxError when the file name is put together at run time
 */
export function* newUrls(source: Source, keepBase: boolean): Generator<Edit> {
  const { code, bare } = source
  let count = 0
  for (const { index } of bare.matchAll(/\bnew\s+URL\s*\(/g)) {
    const expression = callAt(source, index)
    if (expression?.type !== 'NewExpression' || !isImportMetaUrl(expression.arguments[1])) continue
    const argument = expression.arguments[0]!
    const specifier = literalText(argument)
    if (specifier === undefined) {
      if (!/\.onnx\b/.test(code.slice(argument.start, argument.end))) continue
      throw new OnnxError('URL_NOT_STATIC', 'the model in `new URL(..., import.meta.url)` is only known at run time', {
        hint: "Write the file's name as one string, or use `import.meta.glob('./*.onnx', { query: '?as=url' })`.",
        place: { importSite: placeOf(source, index) },
      })
    }
    const id = splitModelId(specifier)
    if (!id || /^(?:\/|[a-z][\w+.-]*:)/i.test(id.file)) continue
    const file = id.file.startsWith('.') ? id.file : `./${id.file}`
    const name = `__unplugin_onnx_url_${count++}`
    const imported = joinModelId({ file, query: withParameter(id.query, 'as', 'url') })
    yield {
      start: argument.start,
      end: keepBase ? argument.end : expression.arguments[1]!.end,
      text: name,
      imports: `import ${name} from ${JSON.stringify(imported)}`,
    }
  }
}
