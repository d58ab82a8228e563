import { OnnxError } from '../../onnx/errors.ts'
import { cut, joinModelId, type ModelId, splitModelId } from '../id.ts'
import { type Edit, placeOf, type Source } from './edit.ts'
import { callAt, expressionAt, literalText, type Static, staticValue } from './parse.ts'

/**
 * Adds import attributes to a model's query. `type` only says that this is a model and is dropped.
 *
 * @throws OnnxError when an attribute and the query give one option two values
 */
export function mergeAttributes(
  id: ModelId,
  attributes: Readonly<Record<string, Static>>,
  importSite: string,
): ModelId {
  // As it is written: a key may come several times, and types are found by this text.
  const pairs = id.query.split('&').filter(Boolean)
  const given = new Map(pairs.map((pair) => cut(pair, '=')))
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'type') continue
    const text = String(value)
    const known = given.get(key)
    if (known === text) continue
    if (known !== undefined)
      throw new OnnxError(
        'IMPORT_ATTRIBUTES_CONFLICT',
        `\`${key}\` is \`${known}\` in the query and \`${text}\` in the import attributes`,
        { hint: 'Write each option once; the query works in every bundler.', place: { importSite } },
      )
    pairs.push(text ? `${key}=${text}` : key)
  }
  return { file: id.file, query: pairs.join('&') }
}

/**
 * `import m from './m.onnx' with { quantize: 'dynamic' }` becomes `import m from './m.onnx?quantize=dynamic'`, also in
 * `export ... from` and `import()`. Bundlers treat attributes differently (some merge two sets on one file into one
 * module), queries all the same.
 */
export function importAttributes(source: Source): Edit[] {
  return [...statements(source), ...calls(source)]
}

function* statements(source: Source): Generator<Edit> {
  const { code, bare } = source
  for (const match of bare.matchAll(/\b(?:from|import)\s*((['"]) *\2)\s*(?:with|assert)\s*(\{[^}]*\})/g)) {
    const end = match.index + match[0].length
    const start = match.index + match[0].indexOf(match[1]!)
    const specifier = code.slice(start + 1, start + match[1]!.length - 1)
    const object = end - match[3]!.length
    const attributes = staticValue(expressionAt(code, object))
    const edit = rewritten(source, start, end, specifier, attributes)
    if (edit) yield edit
  }
}

function* calls(source: Source): Generator<Edit> {
  const { bare } = source
  for (const { index } of bare.matchAll(/\bimport\s*\(\s*(['"`]) *\1\s*,/g)) {
    const call = callAt(source, index)
    if (call?.type !== 'ImportExpression' || !call.options) continue
    const specifier = literalText(call.source)
    const options = staticValue(call.options)
    const attributes = options && typeof options === 'object' && !Array.isArray(options) ? options['with'] : undefined
    const edit = rewritten(source, call.source.start, call.options.end, specifier, attributes)
    if (edit) yield edit
  }
}

function rewritten(source: Source, start: number, end: number, specifier: string | undefined, attributes: Static) {
  const id = specifier === undefined ? undefined : splitModelId(specifier)
  if (!id) return undefined
  const importSite = placeOf(source, start)
  if (!attributes || typeof attributes !== 'object' || Array.isArray(attributes))
    throw new OnnxError('IMPORT_ATTRIBUTES_UNREADABLE', 'the import attributes of a model must be plain strings', {
      place: { importSite },
    })
  return { start, end, text: JSON.stringify(joinModelId(mergeAttributes(id, attributes, importSite))) }
}
