/** A model import taken apart: the file (or specifier) and the text after `?`. */
export interface ModelId {
  file: string
  query: string
}

/** Ids (and specifiers) of models: the file, `.js` where a bundler needs a JavaScript name, and the query. */
export const MODEL_ID: RegExp = /\.onnx(?:\.js)?(?:\?[^#]*)?$/

/** In a nested resolution, tells our own `resolveId` to let the bundler answer. */
export const RESOLVE_MARK = 'unplugin-onnx-resolve'

/** Before the path of a file that is to be emitted as it is, where the bundler needs a name for that. */
export const EMITTED = 'unplugin-onnx-file'

/** Takes `./a.onnx?x=1` or the id made of it apart; undefined when it is no model. */
export function splitModelId(id: string): ModelId | undefined {
  if (!MODEL_ID.test(id) || id.startsWith(`${EMITTED}:`)) return undefined
  const [path, query] = cut(id, '?')
  return { file: path.replace(/\.onnx\.js$/, '.onnx'), query: query.replaceAll('%2F', '/') }
}

/**
 * Puts an id together again.
 *
 * @param virtual give it a `.js` name that does not exist on disk: webpack and Rspack then do not read the model.
 */
export function joinModelId({ file, query }: ModelId, virtual = false): string {
  // Bundlers look for the folder of a module in front of the last slash, wherever that is.
  return `${file}${virtual ? '.js' : ''}${query ? `?${query.replaceAll('/', '%2F')}` : ''}`
}

/** `value` set for `key` in a query, replacing what was there. */
export function withParameter(query: string, key: string, value: string): string {
  const kept = query.split('&').filter((pair) => pair && cut(pair, '=')[0] !== key)
  return [...kept, `${key}=${value}`].join('&')
}

/** `a=1&b=2&a=3` -> `a=1,3&b=2`. */
export function joinRepeated(query: string): string {
  const values = new Map<string, string[]>()
  for (const pair of query.split('&')) {
    const [key, value] = cut(pair, '=')
    values.set(key, [...(values.get(key) ?? []), ...(pair.includes('=') ? [value] : [])])
  }
  return [...values].map(([key, all]) => (all.length ? `${key}=${all.join(',')}` : key)).join('&')
}

/** The text before and after the first `separator`. */
export function cut(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}
