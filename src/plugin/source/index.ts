import MagicString, { type SourceMap } from 'magic-string'
import { stripLiteral } from 'strip-literal'
import { importAttributes } from './attributes.ts'
import type { Source } from './edit.ts'
import { globs } from './glob.ts'
import { newUrls } from './new-url.ts'

export { mergeAttributes } from './attributes.ts'

/** Modules that may name a model in one of the forms that are rewritten: everything else is never looked at. */
export const MENTIONS_MODEL: RegExp = /\.onnx\b/

/**
 * Turns every way to name a model into an import with a query, which all bundlers pass to the plugin in the same way.
 *
 * @param isVite Vite writes `import.meta.glob` out itself, and its URLs need a base
 * @returns undefined when nothing had to change
 * @throws OnnxError for what cannot be rewritten
 */
export function rewriteSource(
  code: string,
  id: string,
  { isVite }: { isVite: boolean },
): { code: string; map: SourceMap } | undefined {
  if (!/\bnew\s+URL\b|\bimport\.meta\.glob\b|\b(?:with|assert)\b/.test(code)) return undefined
  const source: Source = { id, code, bare: stripLiteral(code) }
  const edits = [...importAttributes(source), ...newUrls(source, isVite), ...(isVite ? [] : globs(source))]
  if (edits.length === 0) return undefined
  const text = new MagicString(code)
  for (const { start, end, text: replacement } of edits) text.overwrite(start, end, replacement)
  // At the end, so that directives, hashbangs and every other line stay where they were; imports are hoisted.
  const imports = edits.flatMap((edit) => edit.imports || [])
  if (imports.length) text.append(`\n;${imports.join(';')};\n`)
  return { code: text.toString(), map: text.generateMap({ source: id, includeContent: true, hires: 'boundary' }) }
}
