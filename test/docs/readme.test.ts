import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { render, sections } from '../../scripts/docs/render.ts'
import { resolveRequest } from '../../src/options/index.ts'
import { fullTable } from '../../src/options/table.ts'
import { snakeCase } from '../../src/params/case.ts'

const readme = readFileSync(resolve(import.meta.dirname, '../../README.md'), 'utf8')

test('the README is what `npm run docs` writes', () => {
  expect(readme).toBe(render(readme))
})

test('every parameter is in the README', () => {
  for (const key of Object.keys(fullTable)) expect(readme).toContain(`| \`${key}\` | \`${snakeCase(key)}\` |`)
})

test('steps in examples are steps that there are', () => {
  const queries = [...readme.matchAll(/\.onnx(\?(?:pre|post)process=[^'`]*)/g)].map(([, query]) => query!)
  const options = [...readme.matchAll(/(preprocess|postprocess): '([^']*)'/g)].map(([, key, text]) => `?${key}=${text}`)
  expect(queries.length).toBeGreaterThanOrEqual(5)
  expect(options.length).toBeGreaterThanOrEqual(5)
  for (const query of [...queries, ...options]) resolveRequest({ query, file: '/project/m.onnx', root: '/project' })
})

test('a part without a place, and a place without a part, are errors', () => {
  expect(() => render('')).toThrow(/no place for settings/)
  expect(() => render('<!-- generated:nothing -->\n<!-- /generated -->')).toThrow(/no generated part 'nothing'/)
  expect(sections['dtypes']!()).not.toContain('undefined')
})
