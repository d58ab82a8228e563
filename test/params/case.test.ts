import fc from 'fast-check'
import { expect, test } from 'vitest'
import { camelCase, foldCase, kebabCase, snakeCase } from '../../src/params/case.ts'

test.each([
  ['perChannel', 'per_channel', 'per-channel'],
  ['fp16', 'fp16', 'fp16'],
  ['useGpu2', 'use_gpu2', 'use-gpu2'],
])('%s <-> %s <-> %s', (camel, snake, kebab) => {
  for (const key of [camel, snake, kebab]) {
    expect(camelCase(key)).toBe(camel)
    expect(snakeCase(key)).toBe(snake)
    expect(kebabCase(key)).toBe(kebab)
  }
})

test('case styles convert back and forth, and fold to one form', () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9]{1,6}$/)
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
      const snake = words.join('_')
      // words of one letter or with a digit in front cannot be told apart in camelCase; ours are longer
      expect(snakeCase(camelCase(snake))).toBe(snake)
      expect(snakeCase(kebabCase(snake))).toBe(snake)
      expect(foldCase(camelCase(snake))).toBe(foldCase(snake))
    }),
  )
})
