import { readFileSync } from 'node:fs'
import { OnnxError } from '../../onnx/errors.ts'

/**
 * Names of classes from a file: one a line, a JSON list, or a JSON object of names by number, which may be the `id2label` of a
 * model's configuration.
 *
 * @throws OnnxError `LABELS_INVALID`
 */
export function readLabels(path: string): string[] {
  const fail = (why: string, cause?: unknown) =>
    new OnnxError('LABELS_INVALID', `the labels in ${path} can't be used: ${why}`, {
      hint: 'One name a line, a JSON list, or a JSON object like { "0": "cat", "1": "dog" }.',
      cause,
    })
  let text: string
  try {
    text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '')
  } catch (cause) {
    throw fail((cause as Error).message, cause)
  }
  if (!/^\s*[[{]/.test(text)) {
    const lines = text.split(/\r?\n/).map((line) => line.trim())
    while (lines.at(-1) === '') lines.pop()
    if (!lines.length) throw fail('the file is empty')
    return lines
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw fail(`it is no JSON: ${(cause as Error).message}`, cause)
  }
  const found = (parsed as { id2label?: unknown }).id2label ?? parsed
  const list = Array.isArray(found) ? found : byNumber(found as Record<string, unknown>)
  if (!list?.length || !list.every((label) => typeof label === 'string')) throw fail('it has no list of names')
  return list
}

function byNumber(names: Readonly<Record<string, unknown>>): unknown[] | undefined {
  const count = Object.keys(names).length
  const list = Array.from({ length: count }, (_, i) => names[i])
  return list.includes(undefined) ? undefined : list
}
