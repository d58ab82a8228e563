import { expect, test } from 'vitest'
import { flagTable, parseArguments } from '../../src/cli/arguments.ts'
import { commands } from '../../src/cli/commands.ts'
import { flagName, valueShape } from '../../src/cli/help.ts'
import { fullTable } from '../../src/options/table.ts'
import { cli } from './support.ts'

const build = commands.find(({ name }) => name === 'build')!
const cache = commands.find(({ name }) => name === 'cache')!

test.each([
  ['no arguments', [], 2],
  ['--help', ['--help'], 0],
  ['help', ['help'], 0],
])('%s lists all commands', async (_, args, expected) => {
  const { code, out } = await cli('/', ...args)
  expect(code).toBe(expected)
  for (const command of commands) expect(out).toContain(`${command.name} ${command.operands.usage}`)
})

test.each(commands.map(({ name }) => name))('help of %s names each of its flags', async (name) => {
  const command = commands.find((candidate) => candidate.name === name)!
  for (const args of [
    [name, '--help'],
    [name, '-h'],
    ['help', name],
  ]) {
    const { code, out } = await cli('/', ...args)
    expect(code).toBe(0)
    for (const [key, spec] of Object.entries(flagTable(command)))
      expect(out).toContain(`${flagName(key, spec)} ${valueShape(spec)}`.trimEnd())
    for (const example of command.examples) expect(out).toContain(example)
  }
})

test('build takes every parameter but `as`', () => {
  const flags = Object.keys(flagTable(build))
  for (const key of Object.keys(fullTable)) expect(flags.includes(key)).toBe(key !== 'as')
})

test.each([
  [['buidl'], 2, /no command 'buidl'[\s\S]*Did you mean 'build'/],
  [['build'], 2, /takes MODEL\.\.\., not nothing/],
  [['inspect', 'a', 'b'], 2, /takes MODEL, not 'a' 'b'/],
  [['build', 'a.onnx', '--dtipe', 'q8'], 2, /unknown flag `dtipe`[\s\S]*Did you mean `--dtype`/],
  [['build', 'a.onnx', '--dtype', 'q9'], 2, /'q9' is not a value of `--dtype`/],
  [['build', 'a.onnx', '--dtype'], 2, /`--dtype` needs a value/],
  [['build', 'a.onnx', '--query', 'dtipe=q8'], 2, /query parameter `dtipe`[\s\S]*`dtype`/],
  [['build', 'a.onnx', '--josn'], 2, /Did you mean `--json`/],
  [['cache', 'list'], 2, /takes ls, prune or clear/],
  [['cache', 'claer'], 2, /Did you mean 'clear'/],
  [['build', 'nowhere.onnx'], 1, /no model 'nowhere.onnx'/],
  [['build', 'x.onnx', '--config', 'nowhere.js'], 1, /cannot load the options/],
])('%j ends with %i', async (args, expected, text) => {
  const { code, out, err } = await cli('/', ...args)
  expect({ code, out }).toEqual({ code: expected, out: '' })
  expect(err).toMatch(text)
})

test('with --json an error is JSON as well', async () => {
  const { code, out } = await cli('/', 'build', 'nowhere.onnx', '--json')
  expect(code).toBe(1)
  expect(JSON.parse(out)).toEqual({
    error: { code: 'MODEL_NOT_FOUND', message: "there is no model 'nowhere.onnx'", hint: 'Looked in /.' },
  })
})

test.each([
  [['a.onnx', '-o', 'out', 'b.onnx'], ['a.onnx', 'b.onnx'], { out: 'out', cache: true }, {}],
  [['a', '--out=dir', '--no-cache', '--json'], ['a'], { out: 'dir', cache: false, json: true }, {}],
  [['a', '--cache=false'], ['a'], { cache: false }, {}],
  [['a', '--dtype', 'q8', '--preset', 'x', '--preset', 'y'], ['a'], {}, { dtype: 'q8', preset: ['x', 'y'] }],
  [['a', '-q', 'dtype=q8&device=wasm', '--device', 'cpu'], ['a'], {}, { dtype: 'q8', device: 'cpu' }],
  [['a', '--', '--b.onnx'], ['a', '--b.onnx'], {}, {}],
  [['a', '--target', '007'], ['a'], {}, { target: '007' }],
  [['a', '--EMIT', 'huggingface'], ['a'], { emit: 'huggingface' }, {}],
  [['a', '--per_channel'], ['a'], { emit: 'files' }, { perChannel: true }],
])('arguments %j', (args, operands, flags, params) => {
  const parsed = parseArguments(build, args)!
  expect(parsed.operands).toEqual(operands)
  expect(parsed.flags).toMatchObject(flags)
  expect(parsed.params).toEqual(params)
})

test('numbers of flags are checked', () => {
  expect(parseArguments(cache, ['prune', '--max-age-days', '0.5'])!.flags).toMatchObject({ maxAgeDays: 0.5 })
  expect(() => parseArguments(cache, ['prune', '--max-bytes', '1.5'])).toThrow(/whole number of at least 0/)
})

test('--version prints the version of the package', async () => {
  expect(await cli('/', '--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+/) })
})
