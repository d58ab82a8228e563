import { expect, test } from 'vitest'
import { DEVICES } from '../../src/options/general.ts'
import { SETTINGS } from '../../src/options/settings.ts'
import { fullTable, mergeTables, passTable, targetTable } from '../../src/options/table.ts'
import { camelCase, foldCase, snakeCase } from '../../src/params/case.ts'
import { OPTIONS } from '../../src/params/read.ts'
import { parseValue } from '../../src/params/value.ts'
import { allPasses } from '../../src/passes/index.ts'

const spec = { type: 'boolean', doc: 'x' } as const

test('one spec object may be shared, two specs of one key may not', () => {
  expect(mergeTables([{ a: spec }, { a: spec }])).toEqual({ a: spec })
  expect(() => mergeTables([{ a: spec }, { a: { ...spec } }])).toThrow(/'a'/)
  expect(() => mergeTables([{ perChannel: spec }, { perchannel: spec }])).toThrow(/'perChannel' and 'perchannel'/)
})

test('every parameter is declared well', () => {
  const settings = new Set(SETTINGS.map(foldCase))
  for (const [key, param] of Object.entries(fullTable)) {
    expect(camelCase(snakeCase(key)), key).toBe(key)
    expect(param.doc, key).toMatch(/^\S.*[^.\s]$/)
    expect(param.doc, key).not.toContain('\n')
    if (param.type === 'enum') expect(param.values?.length, key).toBeGreaterThan(1)
    if (param.default !== undefined) expect(parseValue(param, key, param.default, OPTIONS), key).toEqual(param.default)
    if (key !== 'target' && key !== 'targets') expect(settings.has(foldCase(key)), key).toBe(false)
  }
})

test('passes have unique names in kebab case and a whole version', () => {
  const names = allPasses.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const { name, version } of allPasses) {
    expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/)
    expect(Number.isInteger(version)).toBe(true)
  }
})

test('the device parameter and the table of devices agree', () => {
  expect([...targetTable['device']!.values!].sort()).toEqual(Object.keys(DEVICES).sort())
})

test('tables nest: passes, target, everything', () => {
  for (const key of Object.keys(passTable())) expect(targetTable).toHaveProperty(key)
  for (const key of Object.keys(targetTable)) expect(fullTable).toHaveProperty(key)
})
