import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { clean } from '../../../src/passes/clean/index.ts'
import { detectFamily, families, familyOf, rulesOf } from '../../../src/rules/families/index.ts'
import { MODEL_TYPES } from '../../../src/rules/families/names.ts'
import { chosenPhases } from '../../../src/rules/index.ts'
import { passContext } from '../../support/models.ts'
import { hasShared, shared } from '../../support/shared.ts'

describe('families', () => {
  test('every model type has one, and no two have the same', () => {
    for (const type of MODEL_TYPES) expect(familyOf(type).types).toContain(type)
    const types = families.flatMap((family) => family.types)
    expect(types.toSorted()).toEqual([...MODEL_TYPES].toSorted())
  })

  test.each(families.map((family) => [family.types[0], family] as const))(
    '%s runs fewer rules than auto, all of them known',
    (_, family) => {
      const own = chosenPhases({ among: rulesOf(family), also: family.also }).flat()
      expect(own.length).toBeGreaterThan(0)
      expect(chosenPhases({ among: rulesOf(family) }).flat().length).toBeLessThan(chosenPhases({}).flat().length)
      expect(own.map(({ name }) => name)).toContain('attention')
    },
  )
})

/** What the file's name says, where the family's name is another. */
const NAMED: Record<string, string> = { minilm: 'bert', gptneox: 'gpt_neox', lora: 'bert', 'lora-llama': 'llama' }

const names = hasShared
  ? readdirSync(shared('own')).flatMap((file) => (file.endsWith('.onnx') ? [file.replace('.onnx', '')] : []))
  : []

describe.skipIf(!hasShared)('detection by the graph alone', () => {
  test.each(names)('%s', async (name) => {
    const model = readModel(shared(`own/${name}.onnx`))
    await clean.run(model, { optimize: 'clean' }, passContext())
    // Names of inputs count; those inside may not.
    const kind = name.replace(/^(tiny|digits)-/, '')
    const wanted =
      NAMED[kind] ??
      NAMED[kind.split('-')[0]!] ??
      families.find(({ types }) => types.some((type) => kind.startsWith(type)))?.types[0]
    expect(detectFamily(model)?.types[0]).toBe(kind.startsWith('cnn') ? undefined : wanted)
  })
})

describe.skipIf(!hasShared)('the names of other tools', () => {
  test('all that the manifest calls models are accepted', () => {
    const manifest = JSON.parse(readFileSync(shared('own/manifest.json'), 'utf8')) as Record<
      string,
      { model_type: string | null }
    >
    const types = new Set(Object.values(manifest).flatMap(({ model_type: type }) => type ?? []))
    for (const type of types) expect(MODEL_TYPES).toContain(type)
  })
})
