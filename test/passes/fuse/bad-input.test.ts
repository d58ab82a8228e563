import { expect, test } from 'vitest'
import { modelToProto } from '../../../src/graph/export.ts'
import { modelFromProto, readModelBytes } from '../../../src/graph/import.ts'
import type { Model } from '../../../src/graph/model.ts'
import { encodeToBytes } from '../../../src/onnx/encode.ts'
import { OnnxError } from '../../../src/onnx/errors.ts'
import type { NodeProto } from '../../../src/onnx/proto.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { clean } from '../../../src/passes/clean/index.ts'
import { explainFusions } from '../../../src/passes/fuse/explain.ts'
import { run } from '../../../src/passes/fuse/run.ts'
import { rewrite, rule } from '../../../src/rewrite/index.ts'
import { passContext } from '../../support/models.ts'
import { draw, expectClose, opsOf, randomFeeds } from '../../support/rules.ts'

/** Two Gelus of elementary operators, with a residual sum and its norm. */
const sound = (): Promise<Model> =>
  draw(({ op, input, weight }) => {
    const gelu = (x: ReturnType<typeof input>) => op.Mul(op.Mul(x, 0.5), op.Add(op.Erf(op.Div(x, Math.SQRT2)), 1))
    const x = input('x', ['batch', 3, 4])
    return op.LayerNormalization(op.Add(x, gelu(gelu(x))), weight([4]), weight([4]), { axis: -1 })
  })

/** The same model with its nodes as a file may have them. */
async function changed(change: (nodes: NodeProto[]) => void): Promise<Model> {
  const proto = modelToProto(await sound())
  const nodes = proto.graph!.node!.map((node) => ({ ...node, input: [...node.input!], output: [...node.output!] }))
  change(nodes)
  return readModelBytes(encodeToBytes({ ...proto, graph: { ...proto.graph!, node: nodes } }))
}

/** What cleaning, fusing and explaining a model fail with. */
async function failure(change: (nodes: NodeProto[]) => void): Promise<OnnxError> {
  try {
    const model = await changed(change)
    await clean.run(model, { optimize: 'clean' }, passContext())
    await run(model, { fuse: 'auto' }, passContext())
    await explainFusions(model, passContext())
    await createOrtService().open(model)
  } catch (error) {
    if (error instanceof OnnxError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

test('a value that nothing makes is one clear error', async () => {
  const { message } = await failure((nodes) => {
    nodes.at(-2)!.input![0] = 'nowhere'
  })
  expect(message).toContain('nowhere')
})

test('two values of one name are one clear error', async () => {
  const { message } = await failure((nodes) => {
    const { output } = nodes[0]!
    nodes.find(({ opType }) => opType === 'Erf')!.output = output!
  })
  expect(message).toMatch(/twice|more than once|two/)
})

test('a cycle is an error that names nodes on it', async () => {
  const { code, message } = await failure((nodes) => {
    const erf = nodes.findIndex(({ opType }) => opType === 'Erf')
    nodes[erf]!.input = [nodes.at(-2)!.output![0]!]
  })
  expect(code).toBe('GRAPH_CYCLE')
  expect(message).toMatch(/cycle through \w/)
})

test.each([
  ['no names', () => ''],
  ['one name', () => 'node'],
])('nodes with %s fuse all the same', async (_, nameOf) => {
  const model = await changed((nodes) => {
    for (const node of nodes) node.name = nameOf()
  })
  const feeds = randomFeeds(model)
  // ONNX Runtime refuses names that come twice.
  const expected = await createOrtService().evaluate(await sound(), feeds)
  const { fused, data } = await run(model, { fuse: 'auto', strict: true, fuseSteps: 50 }, passContext())
  expect(fused).toEqual({ Gelu: 2, SkipLayerNormalization: 1 })
  expect(data.lastSteps!.every(({ node }) => node.length > 0)).toBe(true)
  expectClose(await createOrtService().evaluate(model, feeds), expected, 1e-5)
})

test('nodes in the wrong order are put in order', async () => {
  const model = await changed((nodes) => void nodes.reverse())
  await run(model, { fuse: 'auto', strict: true }, passContext())
  expect(opsOf(model)).toBe('2 com.microsoft:Gelu, com.microsoft:SkipLayerNormalization')
})

test('one value that thousands of nodes read', async () => {
  const model = await draw(({ op, input }) => {
    const x = op.Abs(input('x', [2]))
    let sum = x
    for (let i = 0; i < 3000; i++) sum = op.Add(sum, op.Mul(x, i + 0.5))
    return sum
  })
  expect((await run(model, { fuse: 'auto', strict: true }, passContext())).data.rules).toEqual({})
  expect(model.graph.nodeCount).toBe(6001)
})

test('operators and attributes that nobody knows are left alone', async () => {
  const proto = modelToProto(await sound())
  const nodes = proto.graph!.node!.map((node) =>
    node.opType === 'Erf' ? { ...node, domain: 'elsewhere', opType: 'Thing' } : node,
  )
  const model = modelFromProto({ ...proto, graph: { ...proto.graph!, node: nodes } })
  const context = passContext()
  const { data } = await run(model, { fuse: 'auto', strict: true }, context)
  expect(data.rules).not.toHaveProperty('gelu')
  expect(model.histogram()['elsewhere:Thing']).toBe(2)
})

test('a rule that lets the graph grow for ever is caught by name and node', async () => {
  const model = await draw(({ op, input }) => op.Relu(input('x', [2])))
  const grow = rule({
    name: 'grow',
    doc: 'Relu -> Relu of Relu',
    match: ({ op, any }) => op.Relu(any('x')),
    replace: ({ op, x }) => op.Relu(op.Relu(x)),
  })
  const { problems } = rewrite(model, [[grow]])
  expect(problems).toMatchObject([{ code: 'rule-loops', rule: 'grow', node: expect.stringMatching(/Relu/) }])
  expect(model.graph.nodeCount).toBeLessThan(2000)
  expect(() => rewrite(model, [[grow]], { strict: true })).toThrow(expect.objectContaining({ code: 'RULE_LOOPS' }))
})
