import { describe, expect, test } from 'vitest'
import { graph as graphAttribute } from '../../src/graph/attributes.ts'
import { Graph } from '../../src/graph/graph.ts'
import { Model } from '../../src/graph/model.ts'
import { tensorType } from '../../src/graph/types.ts'
import { type Rule, rewrite, rule } from '../../src/rewrite/index.ts'
import { gelu } from '../../src/rules/activations/gelu.ts'
import { draw, expectClose, expectFusion, opsOf, run } from '../support/rules.ts'

const doubleNegation: Rule = rule({
  name: 'double-negation',
  doc: '-(-x) -> x',
  match: ({ op, any }) => op.Neg(op.Neg(any('x'))),
  replace: ({ x }) => x,
})

describe('what the engine guarantees', () => {
  const addNorm = rule({
    name: 'replaced',
    doc: 'test',
    emits: ['com.microsoft:SkipLayerNormalization'],
    match: ({ op, any }) =>
      op.LayerNormalization(op.Add(any('a'), any('b')).as('sum').replaced(), any('g'), any('h'), { axis: -1 }),
    replace: ({ create, a, b, g, h, sum, emitted, isReadOutside }) => {
      const [root, , , total] = create({
        op: emitted,
        inputs: [a, b, g, h],
        attributes: { epsilon: 1e-5 },
        outputs: isReadOutside(sum) ? [true, false, false, true] : 1,
      })
      return total ? { root: root!, sum: total } : root!
    },
  })

  test('a value that the replacement gives too may be read above the root', async () => {
    const model = await draw(({ op, input, weight }) => {
      const sum = op.Add(op.Relu(input('a', [1, 2, 8])), input('b', [1, 2, 8]))
      const early = op.Neg(sum)
      return [early, op.LayerNormalization(sum, weight([8]), weight([8]))]
    })
    await expectFusion(model, addNorm, 'Neg, Relu, com.microsoft:SkipLayerNormalization')
    expect(model.opsets.get('com.microsoft')).toBe(1)
  })

  test('what the replacement reads goes up with it where the rule says so', async () => {
    const add = (lifts: boolean): Rule =>
      rule({
        name: 'lifted',
        doc: 'test',
        lifts,
        match: ({ op, any }) => op.Mul(op.Add(any('a'), any('b')).as('sum').replaced(), any('late')),
        replace: ({ op, a, b, late }) => {
          const sum = op.Sum(a, b, op.Mul(late, 0))
          return { root: op.Sum(op.Mul(sum, late), sum, op.Neg(sum)), sum }
        },
      })
    const model = (): ReturnType<typeof draw> =>
      draw(({ op, input }) => {
        const sum = op.Add(input('a', [2]), input('b', [2]))
        const early = op.Relu(sum)
        return [early, op.Mul(sum, op.Exp(op.Abs(input('c', [2]))))]
      })
    await expectFusion(await model(), add(true), 'Abs, Exp, 2 Mul, Neg, Relu, 2 Sum')
    const { nearMisses } = rewrite(await model(), [[add(false)]])
    expect(nearMisses[0]!.reason).toContain('is needed before all inputs of its replacement are known')
    const cyclic = await draw(({ op, input }) => {
      const sum = op.Add(input('a', [2]), input('b', [2]))
      return op.Mul(sum, op.Exp(op.Relu(sum)))
    })
    expect(rewrite(cyclic, [[add(true)]]).changes).toBe(0)
  })

  test('graph outputs keep their names and types', async () => {
    const model = await draw(({ op, input, weight }) => {
      const sum = op.Add(input('a', [1, 'S', 8]), input('b', [1, 'S', 8]))
      return [sum, op.LayerNormalization(sum, weight([8]), weight([8]))]
    })
    const before = model.graph.outputs.map(({ name, shape }) => [name, shape])
    await expectFusion(model, addNorm, 'com.microsoft:SkipLayerNormalization', { sizes: { S: 3 } })
    expect(model.graph.outputs.map(({ name, shape }) => [name, shape])).toEqual(before)
  })

  test('an input can become an output', async () => {
    const model = await draw(({ op, input }) => op.Neg(op.Neg(input('x', [2]))))
    await expectFusion(model, doubleNegation, 'Identity')
  })

  test('shared nodes stay, and what they read stays with them', async () => {
    const shared = rule({
      name: 'shared',
      doc: 'test',
      match: ({ op, any }) => op.Neg(op.Relu(op.Abs(any('x')).shared()).shared()),
      replace: ({ op, x }) => op.Neg(op.Abs(x)),
    })
    const model = await draw(({ op, input }) => {
      const relu = op.Relu(op.Abs(input('x', [2])))
      return [op.Neg(relu), relu]
    })
    await expectFusion(model, shared, '2 Abs, Neg, Relu')
  })

  test('unused constants and what fed only the match are removed', async () => {
    const model = await draw(({ op, input, weight }) => {
      const x = input('x', [2])
      return op.Neg(op.Neg(op.Add(x, op.Neg(op.Neg(weight([2]))))))
    })
    const dropSum = rule({
      name: 'drop',
      doc: 'test',
      match: ({ op, any, constant }) => op.Add(any('x'), constant()),
      replace: ({ op, x }) => op.Abs(x),
    })
    rewrite(model, [[doubleNegation], [dropSum]])
    expect(opsOf(model)).toBe('Abs')
    expect(model.graph.initializers.size).toBe(0)
  })

  test('a rewrite that changes the element type or rank is refused', async () => {
    const wrong = rule({
      name: 'wrong',
      doc: 'test',
      match: ({ op, any }) => op.Relu(any('x')),
      replace: ({ op, x }) => op.Shape(x),
    })
    const model = await draw(({ op, input }) => op.Relu(input('x', [2, 2])))
    expect(rewrite(model, [[wrong]]).nearMisses[0]!.reason).toContain('is float32, but would become int64')
    expect(opsOf(model)).toBe('Relu')
  })

  test('what the target can not run is not emitted', async () => {
    const model = await draw(({ op, input }) => {
      const x = input('x', [4])
      return op.Mul(op.Mul(x, 0.5), op.Add(op.Erf(op.Div(x, Math.SQRT2)), 1))
    })
    const { changes, nearMisses } = rewrite(model, [[gelu]], { allows: () => false })
    expect(changes).toBe(0)
    expect(nearMisses[0]!.reason).toContain("would become Gelu or com.microsoft:Gelu, which the target can't run")
  })

  test('subgraphs are rewritten; values of the outer graph are no part of a match there', async () => {
    const model = await draw(({ op, graph, input, create }) => {
      const outer = op.Neg(input('x', [2]))
      const branch = (name: string, depth: number): Graph => {
        const body = new Graph(graph.model, name)
        let value = outer
        for (let i = 0; i < depth; i++)
          value = body.insert({ op: 'Neg', inputs: [value], types: [tensorType('float32', [2])] }).output()
        body.addOutput(value)
        return body
      }
      const [yes, no] = [branch('then', 3), branch('else', 1)]
      const attributes = { then_branch: graphAttribute(yes), else_branch: graphAttribute(no) }
      const [y] = create({ op: 'If', inputs: [input('c', [], 'bool')], attributes })
      yes.owner = no.owner = y!.producer
      return y!
    })
    expect([...model.allNodes()].length).toBe(6)
    await expectFusion(model, doubleNegation, 'If, 3 Neg')
  })

  test('function bodies are rewritten, with constants as nodes', () => {
    const model = new Model({ opset: 17 })
    const graph = new Graph(model, 'f')
    const x = graph.addInput('fx')
    graph.addOutput(graph.insert({ op: 'Neg', inputs: [graph.insert({ op: 'Neg', inputs: [x] }).output()] }).output())
    model.functions.push({
      name: 'f',
      domain: 'own',
      overload: '',
      graph,
      attributes: [],
      defaults: [],
      opsets: new Map([['', 17]]),
      extra: {},
    })
    const toGelu = rule({
      name: 'to-gelu',
      doc: 'test',
      match: ({ op, any }) => op.Neg(op.Neg(any('x'))),
      replace: ({ ms, op, x }) => ms.Gelu(op.Reshape(x, [0, -1])),
    })
    expect(rewrite(model, [[toGelu]]).changes).toBe(1)
    expect([...graph.nodes()].map(({ qualifiedType }) => qualifiedType)).toEqual([
      'Constant',
      'Reshape',
      'com.microsoft:Gelu',
    ])
    expect(model.functions[0]!.opsets.get('com.microsoft')).toBe(1)
  })
})

describe('running', () => {
  const chain = (length: number) =>
    draw(({ op, input }) => {
      let value = input('x', [2])
      for (let i = 0; i < length; i++) value = op.Neg(value)
      return value
    })

  test('to a fixpoint, and again changes nothing', async () => {
    const model = await chain(9)
    await expectFusion(model, doubleNegation, 'Neg')
    expect(rewrite(model, [[doubleNegation]]).changes).toBe(0)
  })

  test('a step limit stops after that many rewrites and tells the last', async () => {
    const model = await chain(9)
    expect(rewrite(model, [[doubleNegation]], { steps: 0 }).changes).toBe(0)
    const { changes, trail } = rewrite(model, [[doubleNegation]], { steps: 2 })
    expect(changes).toBe(2)
    expect(trail).toEqual([
      { rule: 'double-negation', node: 'Neg_1' },
      { rule: 'double-negation', node: 'Neg_3' },
    ])
    expect(opsOf(model)).toBe('5 Neg')
  })

  const swap = (from: 'Relu' | 'Abs', to: 'Relu' | 'Abs'): Rule =>
    rule({
      name: `${from}-${to}`,
      doc: 'test',
      match: ({ op, any }) => op[from](any('x')),
      replace: ({ op, x }) => op[to](x),
    })

  test('rules that never end are caught by name and node', async () => {
    const model = await draw(({ op, input }) => op.Relu(input('x', [2])))
    const { problems } = rewrite(model, [[swap('Relu', 'Abs'), swap('Abs', 'Relu')]])
    expect(problems).toEqual([
      {
        code: 'rule-loops',
        rule: 'Relu-Abs',
        node: expect.any(String),
        message: expect.stringContaining('does not come to an end'),
      },
    ])
    expect(() => rewrite(model, [[swap('Relu', 'Abs'), swap('Abs', 'Relu')]], { strict: true })).toThrow(
      expect.objectContaining({ code: 'RULE_LOOPS' }),
    )
  })

  test('a rule that throws is left out, what it built is taken back, the others go on', async () => {
    const broken = rule({
      name: 'broken',
      doc: 'test',
      match: ({ op, any }) => op.Neg(any('x')),
      replace: ({ op, x }) => {
        op.Abs(op.Add(x, 1))
        throw new Error('oh no')
      },
    })
    const model = await chain(3)
    const before = await run(model)
    const { problems, counts } = rewrite(model, [[broken, doubleNegation]])
    expect(problems).toEqual([
      { code: 'rule-failed', rule: 'broken', node: 'Neg', message: 'the rule broken failed: oh no' },
    ])
    expect(counts).toEqual({ 'double-negation': 1 })
    expect(opsOf(model)).toBe('Neg')
    expect(model.graph.initializers.size).toBe(0)
    expectClose(await run(model), before, 0)
    expect(() => rewrite(model, [[broken]], { strict: true })).toThrow(expect.objectContaining({ code: 'RULE_FAILED' }))
  })

  test('the best near miss of a rule that matched nothing', async () => {
    const model = await draw(({ op, input }) => {
      const x = input('x', [4])
      return [op.Mul(x, 2), op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(op.Div(x, Math.SQRT2)), 1))]
    })
    const { nearMisses } = rewrite(model, [[gelu]])
    expect(nearMisses).toEqual([
      {
        rule: 'gelu',
        matched: 3,
        total: 5,
        anchor: 'Mul_2',
        at: 'Tanh',
        reason: 'expected Erf, found Tanh (Tanh)',
        message: 'gelu: 3 of 5 nodes; at Tanh: expected Erf, found Tanh (Tanh)',
      },
    ])
  })

  test('one value with very many readers', async () => {
    const model = new Model({ opset: 17 })
    const { graph } = model
    const x = graph.insert({ op: 'Abs', inputs: [graph.addInput('x', tensorType('float32', [2]))] }).output()
    for (let i = 0; i < 4_000; i++) {
      const sum = graph.insert({ op: 'Add', inputs: [x, x] }).output()
      graph.addOutput(graph.insert({ op: 'Neg', inputs: [sum] }).output())
    }
    const pair = rule({
      name: 'pair',
      doc: 'test',
      match: ({ op, any, roots }) => {
        const a = op.Abs(any('x')).shared()
        return roots(op.Neg(op.Add(a, a)).as('y'), op.Relu(a).as('z'))
      },
      replace: ({ op, x }) => ({ y: op.Neg(x), z: op.Relu(x) }),
    })
    const half = rule({
      name: 'half',
      doc: 'test',
      match: ({ op, any, sum }) => op.Neg(sum(op.Abs(any('x')).shared(), any('y'))),
      replace: ({ op, y }) => op.Tanh(y),
    })
    expect(rewrite(model, [[pair, half]]).counts).toEqual({ half: 4_000 })
  })

  test('names that mean something else are refused when the rule is made', () => {
    const named = (name: string) => () =>
      rule({ name: 'r', doc: 'test', match: ({ op, any }) => op.Neg(any(name)), replace: ({ root }) => root })
    expect(named('graph')).toThrow('nothing can be called "graph"')
    expect(named('x')).not.toThrow()
    expect(() => rule({ name: 'r', doc: 'test', match: ({ any }) => any('x'), replace: ({ x }) => x })).toThrow(
      'operator',
    )
  })
})
