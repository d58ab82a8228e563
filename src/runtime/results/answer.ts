import { OnnxSessionError } from '../error.ts'
import { encode, limit, type TextReader, type Tokenizer, tailOf } from '../text.ts'
import type { Answer } from '../types.ts'
import type { ReadResult } from './predict.ts'

/** The part of each context that answers its question: empty where the model points outside of the context. */
export function readAnswer({ open }: TextReader): ReadResult {
  return async (outputs, names, given, inputs) => {
    const { text, textPair } = (given ?? {}) as { text?: string | string[]; textPair?: string | string[] }
    const input = inputs.find(({ media }) => media?.kind === 'text')!
    if (text === undefined || textPair === undefined)
      throw new OnnxSessionError('INPUT_TEXT', `input "${input.name}": an answer needs { text, textPair }`)
    const { tokenizer, left } = await open()
    const [questions, contexts] = [[text].flat(), [textPair].flat()]
    const rows = questions.map((question, i) => encode(tokenizer, question, contexts[i], limit(input)).ids.length)
    const fixed = input.shape?.[1]
    const length = typeof fixed === 'number' ? fixed : Math.max(...rows)
    const number = (meaning: string, row: number) => Number(outputs[names[meaning]!]!.data[row])
    return questions.map((question, row): Answer => {
      const context = contexts[row]!
      const { ids } = tokenizer.encode(context, { add_special_tokens: false })
      const whole = tokenizer.encode(question, { text_pair: context }).ids
      const tail = tailOf(tokenizer, whole)
      // Where the context begins, from which padding before it and a cut at its end move nothing else.
      const begin = whole.length - tail - ids.length + (left ? length - rows[row]! : 0)
      const kept = Math.min(ids.length, ids.length - whole.length + rows[row]!)
      const spans = spansOf(tokenizer, ids, context)
      const [first, last] = [number('start', row) - begin, Math.min(number('end', row) - begin, kept - 1)]
      const score = number('score', row)
      if (first < 0 || last < first) return { text: '', start: 0, end: 0, score }
      const start = spans[first]?.[0] ?? spans.slice(0, first).findLast(Boolean)?.[1] ?? 0
      const end = spans[last]?.[1] ?? spans.slice(last).find(Boolean)?.[0] ?? context.length
      const found = context.slice(start, end)
      const from = start + found.length - found.trimStart().length
      return { text: found.trim(), start: from, end: from + found.trim().length, score }
    })
  }
}

/** After a token that is no text, the next is found again within so many characters. */
const FAR = 64
/** Bytes of a character, at most. */
const MOST_BYTES = 4

/** A text without what tokenizers may take from it: case, accents, spaces. */
function fold(text: string): string {
  return text
    .toLowerCase()
    .normalize('NFKD')
    .replace(/[\s\p{M}]/gu, '')
}

/** From where to where in the text each token is; undefined where that is not seen. */
function spansOf(
  tokenizer: Tokenizer,
  ids: readonly number[],
  text: string,
): (readonly [number, number] | undefined)[] {
  let folded = ''
  const places: [number, number][] = []
  let offset = 0
  for (const character of text) {
    const piece = fold(character)
    folded += piece
    for (let i = 0; i < piece.length; i++) places.push([offset, offset + character.length])
    offset += character.length
  }
  const spans: (readonly [number, number] | undefined)[] = []
  let position = 0
  while (spans.length < ids.length) {
    const [piece, count] = pieceAt(tokenizer, ids, spans.length)
    const found = piece ? folded.indexOf(piece, position) : -1
    let span: readonly [number, number] | undefined
    if (found >= 0 && found <= position + FAR) {
      position = found + piece.length
      span = [places[found]![0], places[position - 1]![1]]
    }
    for (let i = 0; i < count; i++) spans.push(span)
  }
  return spans
}

/** What a token stands for, with those after it that the rest of its last character is in: vocabularies of bytes cut these. */
function pieceAt(tokenizer: Tokenizer, ids: readonly number[], at: number): [piece: string, count: number] {
  for (let count = 1; count <= MOST_BYTES && at + count <= ids.length; count++) {
    const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false }
    const token = tokenizer.decode(ids.slice(at, at + count), options)
    if (!token.includes('\uFFFD')) return [fold(token.replace(/^##(?=.)/, '')), count]
  }
  return ['', 1]
}
