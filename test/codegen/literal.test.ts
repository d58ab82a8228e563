import { expect, test } from 'vitest'
import { literal, propertyKey } from '../../src/codegen/literal.ts'

test('a value survives as source', () => {
  const value = JSON.parse(
    '{"a": [1, null, "\\u2028</script>"], "": {}, "b c": {"__proto__": {"polluted": true}}, "ключ": false, "2": -0.5}',
  )
  const back = new Function(`return ${literal(value)}`)()
  expect(back).toEqual(value)
  expect(back['b c'].polluted).toBeUndefined()
  expect(literal({ gone: undefined })).toBe('{}')
})

test('keys are quoted where they have to be', () => {
  expect(['input_ids', '$x', '2nd', 'a.b', "it's", 'a"b'].map(propertyKey)).toEqual([
    'input_ids',
    '$x',
    '"2nd"',
    '"a.b"',
    '"it\'s"',
    '"a\\"b"',
  ])
})
